#include "agent/endpoints/bundle_responses.h"

#include <algorithm>
#include <utility>

#include "agent/endpoints/call_support.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

constexpr std::size_t kMaxBuilt = 1024;

std::string KeyOf(const BundleSet& bundles) {
  std::string key;
  for (const auto& [name, bundle] : bundles) {
    key += name;
    key += '\0';
  }
  return key;
}

/// Sets with the same names. The store mostly keeps the objects of bundles that did not change.
bool SameContent(const BundleSet& a, const BundleSet& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const auto& left, const auto& right) {
        return left.second == right.second || *left.second == *right.second;
      });
}

}  // namespace

Result<SharedSecret> BundleResponses::For(const BundleSet& visible) {
  if (version_ != store_.changes().version()) {
    version_ = store_.changes().version();
    DropUnused();
  }
  std::string key = KeyOf(visible);
  if (const auto found = built_.find(key);
      found != built_.end() && SameContent(found->second.bundles, visible)) {
    found->second.bundles = visible;
    return found->second.message;
  }
  auto message = build_(visible);
  if (message.ok()) {
    if (built_.size() >= kMaxBuilt) {
      built_.clear();
    }
    built_.insert_or_assign(std::move(key), Built{visible, *message});
  }
  return message;
}

void BundleResponses::DropUnused() {
  std::erase_if(built_, [](const auto& built) { return built.second.message.use_count() == 1; });
}

Result<SharedSecret> BuildX509Bundles(const BundleSet& visible) {
  spiffe::workload::X509BundlesResponse response;
  for (const auto& [name, bundle] : visible) {
    // Clients refuse the whole message for an empty value.
    if (!bundle->x509_authorities.empty()) {
      (*response.mutable_bundles())[bundle->trust_domain.IdString()] =
          ConcatenatedX509Authorities(*bundle);
    }
  }
  return Serialize(response);
}

Result<SharedSecret> BuildJwtBundles(const BundleSet& visible) {
  spiffe::workload::JWTBundlesResponse response;
  for (const auto& [name, bundle] : visible) {
    (*response.mutable_bundles())[bundle->trust_domain.IdString()] = JwtAuthoritiesAsJwks(*bundle);
  }
  return Serialize(response);
}

}  // namespace credence
