#include "agent/authority/web/bundle_endpoint.h"

#include <memory>
#include <utility>

#include "agent/authority/keys/issuer.h"

namespace credence {

Result<void> ServeBundleEndpoint(HttpServer& server, std::string path, BundleSource source) {
  const auto document = std::make_shared<BundleDocument>(std::move(source), &SpiffeBundleDocument);
  return server.Handle(std::move(path), [document]() -> Result<HttpDocument> {
    // No cache on the way keeps it: who polls is to get the newest one.
    return HttpDocument{"application/json", document->Current(), std::chrono::seconds(0)};
  });
}

}  // namespace credence
