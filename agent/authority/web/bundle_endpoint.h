#pragma once

#include <string>

#include "agent/authority/web/bundle_document.h"
#include "base/core/result.h"
#include "base/http/server.h"

namespace credence {

/// Serves the trust bundle as a SPIFFE bundle document on `path`, to anybody. The profile
/// (https_web or https_spiffe) is a matter of the certificate that `server` shows. Errors: as
/// HttpServer::Handle. Source: SPIFFE Federation section 5; SPIFFE Trust Domain and Bundle
/// section 4.
Result<void> ServeBundleEndpoint(HttpServer& server, std::string path, BundleSource source);

}  // namespace credence
