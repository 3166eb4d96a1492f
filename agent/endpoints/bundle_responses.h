#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "agent/identity/identity_store.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/svid/bundle.h"

namespace credence {

/// Builds the responses of one of the bundle methods and shares one among all callers who see the
/// same bundles, also over changes of the store that leave those bundles alone. Threads: core
/// thread.
class BundleResponses {
 public:
  using Build = std::function<Result<SharedSecret>(const BundleSet&)>;

  BundleResponses(IdentityStore& store, Build build) : store_(store), build_(std::move(build)) {}

  /// The response with the bundles of `visible`. Errors: those of `build`.
  Result<SharedSecret> For(const BundleSet& visible);

 private:
  struct Built {
    BundleSet bundles;
    SharedSecret message;
  };

  void DropUnused();

  IdentityStore& store_;
  Build build_;
  std::uint64_t version_ = 0;
  /// By the names of the trust domains.
  std::map<std::string, Built> built_;
};

/// What FetchX509Bundles and FetchJWTBundles send.
/// Errors: kResourceExhausted when it is too large for a message.
Result<SharedSecret> BuildX509Bundles(const BundleSet& visible);
Result<SharedSecret> BuildJwtBundles(const BundleSet& visible);

}  // namespace credence
