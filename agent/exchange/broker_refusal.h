#pragma once

#include <optional>
#include <string>

#include "base/core/clock.h"
#include "base/core/result.h"

namespace credence {

struct BrokerRefusal {
  /// kPermissionDenied, kNotFound, kInvalidArgument: the request will not succeed as it is.
  /// kUnavailable, kResourceExhausted, kDeadlineExceeded: it may later. kFailedPrecondition: the
  /// set-up at the server or the vendor has to change.
  Code code = Code::kPermissionDenied;
  /// Which fact differed, or what failed.
  std::string fact;
  /// What would make it succeed; may be "".
  std::string fix;
  /// When trying again makes sense, if known.
  std::optional<WallTime> retry_at;
};

}  // namespace credence
