#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/check.h"

namespace credence {

/// Names and numbers of the gRPC canonical codes, so that mapping to a status is a cast.
/// Pick by what the caller should do: retry (kUnavailable), fix the input (kInvalidArgument), give
/// up for this caller (kPermissionDenied, kNotFound), wait for set-up (kFailedPrecondition), report
/// a bug (kInternal). kUnknown is for foreign code only. Source: grpc/doc/statuscodes.md.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// "INVALID_ARGUMENT" and so on; "UNKNOWN" for a number outside the table.
std::string_view CodeName(Code code);

/// Why something failed: a code for the program, a message for the human. Messages start in lower
/// case, have no full stop, name the object, and carry no secret. An Error is never kOk.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {
    CREDENCE_CHECK(code != Code::kOk);
  }

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  /// "INVALID_ARGUMENT: message".
  std::string ToString() const;

  /// Puts "context: " before the message. For layer borders.
  Error Wrap(std::string_view context) &&;

 private:
  Code code_;
  std::string message_;
};

std::ostream& operator<<(std::ostream& out, const Error& error);

/// A value or an Error. A default Result is a failure ("never set"), so a forgotten assignment
/// cannot pass for success.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result() : error_(Error(Code::kInternal, "result was never set")) {}
  // NOLINTBEGIN(google-explicit-constructor): for `return value;` and `return Error(...);`.
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error)) {}
  // NOLINTEND(google-explicit-constructor): as said above.

  bool ok() const { return value_.has_value(); }

  /// The value; a failed Result is a bug in the caller and terminates.
  T& value() & {
    CREDENCE_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    CREDENCE_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    CREDENCE_CHECK(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// The error; calling it on a success is a bug in the caller and terminates.
  const Error& error() const& {
    CREDENCE_CHECK(!ok());
    return *error_;
  }
  Error&& error() && {
    CREDENCE_CHECK(!ok());
    return *std::move(error_);
  }

  void IgnoreBecause(std::string_view /*reason*/) const {}

 private:
  std::optional<T> value_;
  std::optional<Error> error_;
};

/// Success or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() : error_(Error(Code::kInternal, "result was never set")) {}
  // NOLINTNEXTLINE(google-explicit-constructor): for `return Error(...);`.
  Result(Error error) : error_(std::move(error)) {}

  static Result Ok() {
    Result result;
    result.error_.reset();
    return result;
  }

  bool ok() const { return !error_.has_value(); }
  const Error& error() const& {
    CREDENCE_CHECK(!ok());
    return *error_;
  }
  Error&& error() && {
    CREDENCE_CHECK(!ok());
    return *std::move(error_);
  }

  void IgnoreBecause(std::string_view /*reason*/) const {}

 private:
  std::optional<Error> error_;
};

/// `return Ok();` in a function that returns Result<void>.
inline Result<void> Ok() {
  return Result<void>::Ok();
}

}  // namespace credence
