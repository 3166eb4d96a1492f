#pragma once

#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/jwt_svid.h"

namespace credence {

/// Where the exchange gets JWT-SVIDs to spend.
class FreshJwtSource {
 public:
  virtual ~FreshJwtSource() = default;

  /// A JWT-SVID that the server signed for this very call; never one from a cache, since
  /// destinations take a token once. Errors: kFailedPrecondition, kPermissionDenied,
  /// kInvalidArgument and kUnimplemented when trying again does not help; else any.
  virtual Task<Result<JwtSvid>> FetchFresh(std::string entry_id,
                                           SpiffeId id,
                                           std::vector<std::string> audience,
                                           Deadline deadline) = 0;

  /// Whether the server still gives `id` to this agent by that entry, as far as the agent knows.
  virtual bool Holds(const std::string& entry_id, const SpiffeId& id) const = 0;
};

}  // namespace credence
