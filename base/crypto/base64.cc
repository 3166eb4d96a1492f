#include <array>
#include <cstdint>
#include <optional>

#include "base/crypto/digest.h"

namespace credence {
namespace {

using Alphabet = std::string_view;
constexpr Alphabet kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr Alphabet kUrlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::int8_t kNoDigit = -1;

constexpr std::array<std::int8_t, 256> DigitTable(Alphabet alphabet) {
  std::array<std::int8_t, 256> table{};
  table.fill(kNoDigit);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}

constexpr auto kStandardDigits = DigitTable(kStandard);
constexpr auto kUrlSafeDigits = DigitTable(kUrlSafe);

std::string Encode(std::string_view bytes, Alphabet alphabet) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : bytes) {
    bits = (bits << 8U | static_cast<unsigned char>(c)) & 0xffffU;
    held += 8;
    while (held >= 6) {
      held -= 6;
      text += alphabet[bits >> held & 0x3fU];
    }
  }
  if (held > 0) {
    text += alphabet[bits << (6 - held) & 0x3fU];
  }
  return text;
}

/// `text` without padding; nullopt for a byte outside the alphabet, an impossible length, or bits
/// left over that are not zero, so that each content has one spelling.
std::optional<std::string> Decode(std::string_view text,
                                  const std::array<std::int8_t, 256>& digits) {
  if (text.size() % 4 == 1) {
    return std::nullopt;
  }
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const std::int8_t digit = digits[static_cast<unsigned char>(c)];
    if (digit == kNoDigit) {
      return std::nullopt;
    }
    bits = (bits << 6U | static_cast<std::uint32_t>(digit)) & 0xffffU;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xffU);
    }
  }
  if ((bits & ((1U << held) - 1)) != 0) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace

std::string Base64Encode(std::string_view bytes) {
  std::string text = Encode(bytes, kStandard);
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

Result<std::string> Base64Decode(std::string_view text) {
  std::string_view digits = text;
  for (int padding = 0; padding < 2 && digits.ends_with('='); ++padding) {
    digits.remove_suffix(1);
  }
  auto bytes = text.size() % 4 == 0 ? Decode(digits, kStandardDigits) : std::nullopt;
  if (!bytes) {
    return Error(Code::kInvalidArgument, "not standard base64 with padding");
  }
  return *std::move(bytes);
}

std::string Base64UrlEncode(std::string_view bytes) {
  return Encode(bytes, kUrlSafe);
}

Result<std::string> Base64UrlDecode(std::string_view text) {
  auto bytes = Decode(text, kUrlSafeDigits);
  if (!bytes) {
    return Error(Code::kInvalidArgument, "not URL-safe base64 without padding");
  }
  return *std::move(bytes);
}

}  // namespace credence
