#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "agent/authority/web/federation_policy.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/http/client.h"

#include "spire/api/types/types.pb.h"

namespace credence {

struct FederationOptions {
  PollIntervals intervals;
  /// For one poll: every redirect, lookup, handshake and answer.
  std::chrono::milliseconds poll_timeout{30'000};
  std::size_t max_bundle_bytes = std::size_t{1} << 20;
  /// PEM file with the roots of https_web; "" for those of the system.
  std::string web_ca_file;
};

/// The newest bundle of a trust domain, our own one too; nullopt where none is known.
using FindBundle =
    std::function<std::optional<spire::api::types::Bundle>(const TrustDomain& trust_domain)>;
/// Keeps a bundle that `endpoint` gave, so that FindBundle gives it from then on and after a
/// restart. Its trust_domain is that of `endpoint`. A relationship that has ended or has another
/// endpoint meanwhile is the callee's to notice.
using StoreBundle = std::function<Task<Result<void>>(ForeignBundleEndpoint endpoint,
                                                     spire::api::types::Bundle bundle)>;

/// Fetches the bundles of foreign trust domains: each at once, then at its refresh hint, with one
/// result for everybody. A failure leaves the held bundle in place and waits for the next turn.
/// Threads: the core thread. Source: SPIFFE Federation section 5.
class FederationClient {
 public:
  /// `clock` outlives the client.
  FederationClient(asio::any_io_executor executor,
                   const Clock& clock,
                   FederationOptions options,
                   FindBundle find,
                   StoreBundle store);
  /// Stop() has ended before.
  ~FederationClient() = default;
  FederationClient(const FederationClient&) = delete;
  FederationClient& operator=(const FederationClient&) = delete;

  /// The endpoints to poll from now on, one for each trust domain (of two, the first counts). Those
  /// that were there already go on as they were; a changed one begins anew; one that is gone is not
  /// polled again, and what is to become of its bundle is the caller's business.
  void SetEndpoints(std::vector<ForeignBundleEndpoint> endpoints);

  /// Fetches once, now, and stores what is newer. Errors: kFailedPrecondition when there is no
  /// bundle to check the endpoint with; kInvalidArgument for what is no bundle; those of
  /// HttpClient::Send and of storing; kUnavailable for an answer other than 200 and for too many
  /// redirects.
  Task<Result<BundleVerdict>> Poll(ForeignBundleEndpoint endpoint);

  /// Stops polling. May be called twice.
  Task<void> Stop();

 private:
  /// A running poller.
  struct Poller {
    ForeignBundleEndpoint endpoint;
    std::uint64_t number = 0;
    asio::cancellation_signal* cancel = nullptr;
  };
  class Registration;

  Task<void> PollForEver(ForeignBundleEndpoint endpoint, std::uint64_t number);
  Task<Result<std::string>> Fetch(ForeignBundleEndpoint endpoint);
  Result<HttpRequest> MakeRequest(const ForeignBundleEndpoint& endpoint, HttpUrl url) const;
  std::chrono::milliseconds UntilNextPoll(const ForeignBundleEndpoint& endpoint) const;

  asio::any_io_executor executor_;
  const Clock& clock_;
  FederationOptions options_;
  FindBundle find_;
  StoreBundle store_;
  HttpClient http_;
  /// By trust domain name.
  std::map<std::string, Poller> pollers_;
  std::uint64_t next_number_ = 1;
  TaskGroup tasks_;
};

}  // namespace credence
