#include "base/core/result.h"

#include <array>
#include <cstddef>

namespace credence {

std::string_view CodeName(Code code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED",
  };
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : kNames[2];
}

std::string Error::ToString() const {
  return std::string(CodeName(code_)) + ": " + message_;
}

Error Error::Wrap(std::string_view context) && {
  std::string wrapped(context);
  wrapped += ": ";
  wrapped += message_;
  return Error(code_, std::move(wrapped));
}

std::ostream& operator<<(std::ostream& out, const Error& error) {
  return out << error.ToString();
}

}  // namespace credence
