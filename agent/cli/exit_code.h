#pragma once

#include "base/core/result.h"

namespace credence {

/// Exit codes of every command. They are an interface: scripts depend on the numbers.
enum class ExitCode {
  kOk = 0,
  /// Anything without a number of its own.
  kFailed = 1,
  /// The command line itself.
  kBadUsage = 2,
  /// agent.conf or a resource file.
  kBadConfiguration = 3,
  /// Policy, or no identity: asking again changes nothing.
  kDenied = 4,
  /// The agent, the server or the destination cannot answer now: asking again may help.
  kUnavailable = 5,
};

/// The exit code for an error that the agent answered with.
inline ExitCode ExitCodeFor(Code code) {
  switch (code) {
    case Code::kOk:
      return ExitCode::kOk;
    case Code::kInvalidArgument:
      return ExitCode::kBadUsage;
    case Code::kPermissionDenied:
    case Code::kUnauthenticated:
    case Code::kNotFound:
    case Code::kFailedPrecondition:
      return ExitCode::kDenied;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kResourceExhausted:
    case Code::kAborted:
      return ExitCode::kUnavailable;
    case Code::kCancelled:
    case Code::kUnknown:
    case Code::kAlreadyExists:
    case Code::kOutOfRange:
    case Code::kUnimplemented:
    case Code::kInternal:
    case Code::kDataLoss:
      return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

}  // namespace credence
