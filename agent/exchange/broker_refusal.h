#pragma once

#include <optional>
#include <string>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "plugins/contract/destination_adapter.h"

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

BrokerRefusal StoppingRefusal();

/// A reload since the decision leaves it no grant, or another destination.
BrokerRefusal ChangedRefusal(const std::string& destination);

/// What the exchange brought has lived longer than the grant or the destination allows.
BrokerRefusal TooLateRefusal(const std::string& destination);

/// A credential of the cache has ended before it could leave.
BrokerRefusal EndedRefusal(const std::string& destination);

/// An event could not be written.
BrokerRefusal AuditRefusal(const Error& error);

/// The vendor said no, or nothing. `retry_at`: until then its answer is remembered.
BrokerRefusal VendorRefusal(const std::string& destination,
                            const ExchangeError& error,
                            std::optional<WallTime> retry_at);

}  // namespace credence
