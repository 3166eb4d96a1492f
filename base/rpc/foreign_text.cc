#include "base/rpc/foreign_text.h"

#include <cstddef>

namespace credence {
namespace {

/// What the second byte of a character may be: it tells overlong forms, surrogates, control
/// characters and what is beyond Unicode.
bool IsSecondByte(unsigned first, unsigned byte) {
  switch (first) {
    case 0xC2:
    case 0xE0:
      return byte >= 0xA0 && byte <= 0xBF;
    case 0xED:
      return byte >= 0x80 && byte <= 0x9F;
    case 0xF0:
      return byte >= 0x90 && byte <= 0xBF;
    case 0xF4:
      return byte >= 0x80 && byte <= 0x8F;
    default:
      return byte >= 0x80 && byte <= 0xBF;
  }
}

/// Bytes of the character that `text` starts with; 0 if that may not be shown.
std::size_t ShownBytes(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return first >= 0x20 && first != 0x7F ? 1 : 0;
  }
  if (first < 0xC2 || first > 0xF4 || !IsSecondByte(first, byte(1))) {
    return 0;
  }
  const std::size_t length = first < 0xE0 ? 2 : (first < 0xF0 ? 3 : 4);
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) {
      return 0;
    }
  }
  return length;
}

}  // namespace

std::string ForeignText(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = ShownBytes(text);
    if (length == 0) {
      shown += '?';
      text.remove_prefix(1);
    } else {
      shown += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return shown;
}

}  // namespace credence
