#include "base/wire/grpc_text.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/crypto/digest.h"

namespace credence::h2 {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kMostTimeoutDigits = 8;
constexpr std::chrono::nanoseconds kLongestTimeout = std::chrono::hours(24 * 365);

std::optional<std::chrono::nanoseconds> TimeoutUnit(char unit) {
  switch (unit) {
    case 'H':
      return std::chrono::hours(1);
    case 'M':
      return std::chrono::minutes(1);
    case 'S':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::milliseconds(1);
    case 'u':
      return std::chrono::microseconds(1);
    case 'n':
      return std::chrono::nanoseconds(1);
    default:
      return std::nullopt;
  }
}

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  const char lower = static_cast<char>(digit | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string PercentEncode(std::string_view text, std::size_t max_bytes) {
  std::string encoded;
  for (const char c : text.substr(0, max_bytes)) {
    if (c >= ' ' && c <= '~' && c != '%') {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kHexDigits[byte >> 4U];
    encoded += kHexDigits[byte & 0xFU];
  }
  return encoded;
}

std::string PercentDecode(std::string_view encoded, std::size_t max_bytes) {
  std::string text;
  for (std::size_t i = 0; i < encoded.size() && text.size() < max_bytes; ++i) {
    const int high = encoded[i] == '%' && i + 2 < encoded.size() ? HexValue(encoded[i + 1]) : -1;
    const int low = high >= 0 ? HexValue(encoded[i + 2]) : -1;
    if (low >= 0) {
      text += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      text += encoded[i];
    }
  }
  return text;
}

std::string EncodeBinaryHeader(std::string_view bytes) {
  std::string encoded;
  encoded.reserve(bytes.size() * 4 / 3 + 3);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = (bits << 8U) | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 6) {
      count -= 6;
      encoded += kBase64Digits[(bits >> count) & 0x3FU];
    }
  }
  if (count > 0) {
    encoded += kBase64Digits[(bits << (6 - count)) & 0x3FU];
  }
  return encoded;
}

Result<std::string> DecodeBinaryHeader(std::string_view text) {
  std::string padded(text);
  padded.append((4 - padded.size() % 4) % 4, '=');
  return Base64Decode(padded);
}

Result<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text) {
  const Error malformed(Code::kInvalidArgument, "grpc-timeout is malformed");
  if (text.size() < 2 || text.size() > kMostTimeoutDigits + 1) {
    return malformed;
  }
  const auto unit = TimeoutUnit(text.back());
  if (!unit) {
    return malformed;
  }
  std::int64_t count = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') {
      return malformed;
    }
    count = count * 10 + (c - '0');
  }
  // 99,999,999 hours do not fit into 64 bits of nanoseconds.
  if (count > kLongestTimeout / *unit) {
    return kLongestTimeout;
  }
  return count * *unit;
}

std::string FormatGrpcTimeout(std::chrono::nanoseconds timeout) {
  constexpr std::int64_t kTooMany = 100'000'000;
  timeout = std::clamp(timeout, std::chrono::nanoseconds(0), kLongestTimeout);
  for (const char unit : {'n', 'u', 'm'}) {
    const auto length = *TimeoutUnit(unit);
    const std::int64_t count = (timeout + length - std::chrono::nanoseconds(1)) / length;
    if (count < kTooMany) {
      return std::to_string(count) + unit;
    }
  }
  constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);
  return std::to_string((timeout + kSecond - std::chrono::nanoseconds(1)) / kSecond) + 'S';
}

}  // namespace credence::h2
