#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/thread_pool.hpp>

#include "plugins/contract/node_attestor.h"

namespace credence {

/// Where the node's own certificate is, as PEM files.
struct X509PopFiles {
  std::string private_key_path;
  /// The leaf first; further certificates are sent as intermediates.
  std::string certificate_path;
  /// "" for none.
  std::string intermediates_path;
};

/// Proves possession of the key of a certificate whose authority the server trusts for nodes. RSA
/// and EC keys. Files are read again for every attestation. Source: SPIRE's x509pop attestor: the
/// proof is a signature over SHA-256 of the server's nonce followed by ours.
class X509PopAttestor final : public NodeAttestor {
 public:
  /// Files are read and signatures made on `pool`, which outlives this object.
  X509PopAttestor(X509PopFiles files, asio::thread_pool& pool)
      : files_(std::move(files)), pool_(pool) {}

  std::string_view name() const override { return "x509pop"; }
  std::unique_ptr<NodeAttestation> Start() override;

 private:
  const X509PopFiles files_;
  asio::thread_pool& pool_;
};

}  // namespace credence
