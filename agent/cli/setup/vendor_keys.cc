#include "agent/cli/setup/vendor_keys.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "agent/cli/up/layout.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

/// Source: RFC 7468 section 13.
std::string PublicKeyPem(std::string_view der) {
  constexpr std::size_t kLine = 64;
  const std::string text = Base64Encode(der);
  std::string pem = "-----BEGIN PUBLIC KEY-----\n";
  for (std::size_t at = 0; at < text.size(); at += kLine) {
    pem += text.substr(at, kLine) + "\n";
  }
  return pem + "-----END PUBLIC KEY-----";
}

}  // namespace

VendorKeys VendorKeysOf(const spire::api::types::Bundle& bundle) {
  VendorKeys keys;
  keys.trust_domain = bundle.trust_domain();
  keys.jwks = OidcKeySet(bundle);
  boost::system::error_code failed;
  const auto set = boost::json::parse(keys.jwks, failed);
  if (const auto* object = set.if_object(); !failed && object != nullptr) {
    if (const auto* array = object->if_contains("keys"); array != nullptr) {
      keys.jwk_array = boost::json::serialize(*array);
    }
  }
  for (const auto& key : bundle.jwt_authorities()) {
    if (key.public_key().empty()) {
      continue;
    }
    keys.pem += (keys.pem.empty() ? "" : ",") + PublicKeyPem(key.public_key());
  }
  return keys;
}

std::string IssuerOfUp(const std::string& authority_socket) {
  const auto layout = LayoutFor(geteuid(), "");
  if (!layout.ok() || layout->authority_socket != authority_socket) {
    return "";
  }
  const auto settings =
      LoadSettings(layout->settings, UpSettings{.trust_domain = "", .oidc_port = 0});
  return settings.ok() ? settings->Issuer() : "";
}

Result<std::string> ResourcesOfUp() {
  const auto layout = LayoutFor(geteuid(), "");
  if (!layout.ok()) {
    return layout.error();
  }
  struct stat found{};
  if (stat(layout->resources.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) {
    return Error(Code::kNotFound,
                 fmt::format("there is no folder {}: name the one that agent.conf gives as "
                             "credence.resources with -resources",
                             layout->resources));
  }
  return layout->resources;
}

}  // namespace credence
