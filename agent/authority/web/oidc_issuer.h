#pragma once

#include <string>
#include <string_view>

#include "agent/authority/web/bundle_document.h"
#include "base/core/result.h"
#include "base/http/server.h"

#include "spire/api/types/types.pb.h"

namespace credence {

/// The "iss" of our JWT-SVIDs. Made by Parse only.
class OidcIssuer {
 public:
  /// Destinations compare it byte by byte, so it stays as it is written. Errors: kInvalidArgument
  /// unless it is an https URL (http for loopback) without query and without a slash at its end.
  static Result<OidcIssuer> Parse(std::string_view url);

  const std::string& url() const { return url_; }
  std::string DiscoveryUrl() const { return url_ + kDiscovery; }
  std::string KeysUrl() const { return url_ + kKeys; }
  /// Where those are on a server that answers for the URL's host.
  std::string DiscoveryPath() const { return path_ + kDiscovery; }
  std::string KeysPath() const { return path_ + kKeys; }

 private:
  static constexpr const char* kDiscovery = "/.well-known/openid-configuration";
  static constexpr const char* kKeys = "/keys";

  OidcIssuer(std::string url, std::string path) : url_(std::move(url)), path_(std::move(path)) {}

  std::string url_;
  /// "" or "/a/b".
  std::string path_;
};

/// The discovery document. Its members are those that SPIRE's OIDC discovery provider has, as
/// vendors have been set up with it: authorization_endpoint is there and empty, since nobody can
/// log in. Source: OpenID Connect Discovery 1.0 section 3.
std::string OidcDiscoveryDocument(const OidcIssuer& issuer,
                                  const spire::api::types::Bundle& bundle);

/// Serves the discovery document and the key set. Errors: as HttpServer::Handle.
Result<void> ServeOidcIssuer(HttpServer& server, const OidcIssuer& issuer, BundleSource source);

}  // namespace credence
