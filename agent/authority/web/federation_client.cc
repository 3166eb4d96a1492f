#include "agent/authority/web/federation_client.h"

#include <utility>

#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "base/core/backoff.h"
#include "base/core/log.h"

namespace credence {
namespace {

constexpr int kMaxRedirects = 5;
/// Keeps the polls of many relationships from falling on one moment.
constexpr double kJitter = 0.05;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

void LogOutcome(const TrustDomain& trust_domain, const Result<BundleVerdict>& polled) {
  if (!polled.ok()) {
    if (polled.error().code() != Code::kCancelled) {
      LogWarn("Federated bundle could not be fetched",
              {{"trust_domain", trust_domain.name()}, {"error", polled.error()}});
    }
    return;
  }
  switch (*polled) {
    case BundleVerdict::kNewer:
      LogInfo("Federated bundle has changed", {{"trust_domain", trust_domain.name()}});
      break;
    case BundleVerdict::kUnchanged:
      break;
    case BundleVerdict::kOlder:
      LogWarn("Bundle endpoint serves an older bundle than the one that is held",
              {{"trust_domain", trust_domain.name()}});
      break;
  }
}

}  // namespace

/// Takes a poller off the list when it ends, however it ends: its cancellation signal ends with it.
class FederationClient::Registration {
 public:
  Registration(FederationClient& client, std::string name, std::uint64_t number)
      : client_(client), name_(std::move(name)), number_(number) {}
  ~Registration() {
    const auto own = client_.pollers_.find(name_);
    if (own != client_.pollers_.end() && own->second.number == number_) {
      client_.pollers_.erase(own);
    }
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  FederationClient& client_;
  std::string name_;
  std::uint64_t number_;
};

FederationClient::FederationClient(asio::any_io_executor executor,
                                   const Clock& clock,
                                   FederationOptions options,
                                   FindBundle find,
                                   StoreBundle store)
    : executor_(executor),
      clock_(clock),
      options_(std::move(options)),
      find_(std::move(find)),
      store_(std::move(store)),
      tasks_(executor) {}

void FederationClient::SetEndpoints(std::vector<ForeignBundleEndpoint> endpoints) {
  std::map<std::string, ForeignBundleEndpoint> wanted;
  for (auto& endpoint : endpoints) {
    std::string name = endpoint.trust_domain.name();
    wanted.emplace(std::move(name), std::move(endpoint));
  }
  // A cancelled poller takes itself off the list, perhaps at once: step first.
  for (auto poller = pollers_.begin(); poller != pollers_.end();) {
    const auto current = poller++;
    const auto still = wanted.find(current->first);
    if (still != wanted.end() && still->second == current->second.endpoint) {
      wanted.erase(still);
    } else {
      asio::cancellation_signal* const cancel = current->second.cancel;
      pollers_.erase(current);
      cancel->emit(asio::cancellation_type::terminal);
    }
  }
  for (auto& [name, endpoint] : wanted) {
    const std::uint64_t number = next_number_++;
    asio::cancellation_signal& cancel =
        tasks_.Spawn("poll of bundle endpoint", PollForEver(endpoint, number));
    pollers_.insert_or_assign(name, Poller{std::move(endpoint), number, &cancel});
  }
}

Task<void> FederationClient::Stop() {
  pollers_.clear();
  return tasks_.Stop();
}

Task<void> FederationClient::PollForEver(ForeignBundleEndpoint endpoint, std::uint64_t number) {
  const Registration registration(*this, endpoint.trust_domain.name(), number);
  while (true) {
    auto polled = co_await Poll(endpoint);
    LogOutcome(endpoint.trust_domain, polled);
    co_await Sleep(UntilNextPoll(endpoint));
  }
}

std::chrono::milliseconds FederationClient::UntilNextPoll(
    const ForeignBundleEndpoint& endpoint) const {
  if (endpoint.endpoint_id.has_value() && !find_(endpoint.endpoint_id->trust_domain())) {
    // Nothing was asked of the endpoint: the bundle to check it with may come from another poll.
    return options_.intervals.shortest;
  }
  const auto held = find_(endpoint.trust_domain);
  return Jitter(PollInterval(options_.intervals, held ? &*held : nullptr), kJitter);
}

Task<Result<BundleVerdict>> FederationClient::Poll(ForeignBundleEndpoint endpoint) {
  auto text = co_await Fetch(endpoint);
  if (!text.ok()) {
    co_return std::move(text).error().Wrap(endpoint.url.Origin());
  }
  auto fetched = ParseBundleDocument(endpoint.trust_domain, *text);
  if (!fetched.ok()) {
    co_return std::move(fetched).error().Wrap(endpoint.url.Origin());
  }
  const auto held = find_(endpoint.trust_domain);
  const BundleVerdict verdict = JudgeBundle(held ? &*held : nullptr, *fetched);
  if (verdict == BundleVerdict::kNewer) {
    auto stored = co_await store_(endpoint, *std::move(fetched));
    if (!stored.ok()) {
      co_return std::move(stored).error().Wrap("store the bundle");
    }
  }
  co_return verdict;
}

Result<HttpRequest> FederationClient::MakeRequest(const ForeignBundleEndpoint& endpoint,
                                                  HttpUrl url) const {
  HttpRequest request;
  request.url = std::move(url);
  request.max_response_bytes = options_.max_bundle_bytes;
  request.ca_file = options_.web_ca_file;
  if (!endpoint.endpoint_id.has_value()) {
    return request;
  }
  const SpiffeId& id = *endpoint.endpoint_id;
  auto bundle = find_(id.trust_domain());
  if (!bundle.has_value()) {
    return Error(
        Code::kFailedPrecondition,
        fmt::format(
            "there is no bundle of {} to check {} with", id.trust_domain().name(), id.text()));
  }
  request.verify_peer =
      [this, id, bundle = *std::move(bundle)](const std::vector<std::string>& chain) {
        return VerifyBundleServer(chain, id, bundle, clock_.Now());
      };
  return request;
}

Task<Result<std::string>> FederationClient::Fetch(ForeignBundleEndpoint endpoint) {
  HttpUrl url = endpoint.url;
  const Deadline deadline = Deadline::After(options_.poll_timeout);
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    auto request = MakeRequest(endpoint, url);
    if (!request.ok()) {
      co_return std::move(request).error();
    }
    auto outcome = co_await http_.Send(*std::move(request), deadline);
    if (!outcome.response.ok()) {
      co_return std::move(outcome.response).error();
    }
    const HttpResponse& response = *outcome.response;
    if (response.status == 200) {
      co_return std::string(response.body.Reveal());
    }
    if (!IsRedirect(response.status)) {
      co_return Error(Code::kUnavailable, fmt::format("answered with HTTP {}", response.status));
    }
    auto target = RedirectTarget(url, response.FindHeader("location"));
    if (!target.ok()) {
      co_return std::move(target).error();
    }
    url = *std::move(target);
  }
  co_return Error(Code::kUnavailable, fmt::format("more than {} redirects", kMaxRedirects));
}

}  // namespace credence
