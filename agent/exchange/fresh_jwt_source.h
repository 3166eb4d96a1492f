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
  /// destinations take a token once. Errors: kUnavailable and kDeadlineExceeded when trying again
  /// may help; else any.
  virtual Task<Result<JwtSvid>> FetchFresh(std::string entry_id,
                                           SpiffeId id,
                                           std::vector<std::string> audience,
                                           Deadline deadline) = 0;
};

}  // namespace credence
