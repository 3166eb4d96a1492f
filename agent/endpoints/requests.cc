#include "agent/endpoints/requests.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace credence {
namespace {

constexpr std::size_t kMaxAudiences = 64;
/// In all of a request; what is longer makes no token that anybody accepts.
constexpr std::size_t kMaxAudienceBytes = 8192;
constexpr std::size_t kMaxParameters = 32;
constexpr std::size_t kMaxParameterBytes = 4096;
constexpr std::int64_t kMaxTtlSeconds = 366 * 24 * 3600;

}  // namespace

Result<void> CheckAudience(const spiffe::workload::JWTSVIDRequest& request) {
  const auto& audience = request.audience();
  if (audience.empty() ||
      std::any_of(audience.begin(), audience.end(), [](const auto& a) { return a.empty(); })) {
    return Error(Code::kInvalidArgument, "audience must be specified and not empty");
  }
  if (static_cast<std::size_t>(audience.size()) > kMaxAudiences) {
    return Error(Code::kInvalidArgument, "at most 64 audiences may be asked for");
  }
  std::size_t bytes = 0;
  for (const std::string& one : audience) {
    bytes += one.size();
  }
  if (bytes > kMaxAudienceBytes) {
    return Error(Code::kInvalidArgument, "audiences may have at most 8192 bytes in all");
  }
  return Ok();
}

Result<CredentialQuery> ToQuery(const credential::v1::GetCredentialRequest& request,
                                Deadline deadline) {
  CredentialQuery query;
  if (request.destination().empty()) {
    return Error(Code::kInvalidArgument, "destination must be specified");
  }
  query.destination = request.destination();
  if (!request.spiffe_id().empty()) {
    auto id = SpiffeId::Parse(request.spiffe_id());
    if (!id.ok()) {
      return std::move(id).error();
    }
    query.spiffe_id = *std::move(id);
  }
  if (static_cast<std::size_t>(request.parameters_size()) > kMaxParameters) {
    return Error(Code::kInvalidArgument, "at most 32 parameters may be given");
  }
  for (const auto& [name, value] : request.parameters()) {
    if (name.size() + value.size() > kMaxParameterBytes) {
      return Error(Code::kInvalidArgument, "a parameter is longer than 4096 bytes");
    }
    query.parameters.emplace(name, value);
  }
  if (request.min_ttl_seconds() < 0 || request.min_ttl_seconds() > kMaxTtlSeconds) {
    return Error(Code::kInvalidArgument, "min_ttl_seconds must be from 0 to one year");
  }
  query.min_ttl = std::chrono::seconds(request.min_ttl_seconds());
  query.deadline = deadline;
  return query;
}

}  // namespace credence
