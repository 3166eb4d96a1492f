#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/core/log.h"
#include "base/core/result.h"
#include "base/crypto/private_key.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// PEM files of a web server's certificate chain and its key; both "" for none.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

struct AuthorityConfig {
  TrustDomain trust_domain;
  /// The database is here and the keys in "keys" below it.
  std::string data_dir;
  /// Files and folders of documents of kind Entry.
  std::vector<std::string> resources;
  /// Operators; mode 0600.
  std::string private_socket;
  /// Agents, by TLS. An IP address in text.
  std::string address = "127.0.0.1";
  std::uint16_t port = 8081;
  /// The OIDC issuer's documents. By HTTPS with a certificate of files or the authority's own
  /// X509-SVID; else by HTTP: only for this machine, unless a proxy stands before it.
  std::string oidc_address = "127.0.0.1";
  /// 0 for none.
  std::uint16_t oidc_port = 0;
  CertificateFiles oidc_certificate;
  bool oidc_shows_svid = false;
  /// The bundle endpoint, by HTTPS, for foreign trust domains that federate with this one.
  std::string bundle_endpoint_address = "127.0.0.1";
  /// 0 for none.
  std::uint16_t bundle_endpoint_port = 0;
  std::string bundle_endpoint_path = "/";
  /// For the profile https_web; none for https_spiffe, where it shows the authority's own
  /// X509-SVID, spiffe://<trust domain>/spire/server.
  CertificateFiles bundle_endpoint_certificate;
  /// The "iss" of JWT-SVIDs and of the OIDC documents. "" for none.
  std::string jwt_issuer;
  std::chrono::seconds ca_life{std::chrono::hours(24)};
  std::chrono::seconds jwt_key_life{std::chrono::hours(24 * 90)};
  std::chrono::seconds x509_svid_life{std::chrono::hours(1)};
  std::chrono::seconds jwt_svid_life{std::chrono::minutes(5)};
  std::chrono::seconds agent_svid_life{std::chrono::hours(1)};
  KeyType ca_key_type = KeyType::kEcP256;
  KeyType jwt_key_type = KeyType::kEcP256;
  LogOptions log;
};

/// The trust authority: the server side of the SPIRE APIs for one machine, in a process of its own.
class Authority {
 public:
  Authority(AuthorityConfig config, std::vector<std::string> warnings);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  /// Blocks until SIGTERM or SIGINT; SIGHUP reads the resources and the certificates of
  /// files again, SIGUSR2 opens the log again. Once per process. Errors: kAlreadyExists
  /// when another authority has the data directory, the socket or a port; kDataLoss naming what is
  /// damaged; those of files.
  Result<void> Run();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace credence
