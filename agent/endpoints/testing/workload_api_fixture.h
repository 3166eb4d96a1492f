#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "agent/endpoints/testing/fake_call.h"
#include "agent/endpoints/workload_api.h"
#include "agent/identity/testing/fake_server_client.h"
#include "base/core/testing/run_task.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {

/// The Workload API over a server in memory, for callers that all have the selector unix:uid:1.
class WorkloadApiFixture : public testing::Test {
 protected:
  explicit WorkloadApiFixture(bool allow_unauthenticated_verifiers = false)
      : calls_(io_.get_executor()) {
    std::vector<std::unique_ptr<WorkloadAttestor>> attestors;
    attestors.push_back(std::make_unique<FixedAttestor>("unix:uid:1", asked_));
    attestation_ = std::make_unique<WorkloadAttestation>(
        io_.get_executor(), std::move(attestors), WorkloadAttestation::Options{});
    IdentityService::Options options{.trust_domain = domain_};
    options.sync_interval = std::chrono::milliseconds(20);
    identities_ = std::make_unique<IdentityService>(
        io_.get_executor(), pool_, server_, clock_, options, [](SharedBundle) {});
    api_ = std::make_unique<WorkloadApi>(
        *attestation_,
        *identities_,
        clock_,
        WorkloadApi::Options{.trust_domain = domain_,
                             .allow_unauthenticated_verifiers = allow_unauthenticated_verifiers,
                             .patience = std::chrono::milliseconds(1'500)},
        [] { return "starting"; });
  }

  ~WorkloadApiFixture() override {
    RunTask(io_, calls_.Stop());
    RunTask(io_, identities_->Stop());
    RunTask(io_, attestation_->Stop());
  }

  void StartWith(std::vector<RegistrationEntry> entries) {
    for (RegistrationEntry& entry : entries) {
      const std::string id = entry.id;
      server_.entries.insert_or_assign(id, std::move(entry));
    }
    identities_->Start();
    ASSERT_TRUE(Until([&] { return identities_->store().synced(); }));
  }

  bool Until(std::function<bool()> done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!done() && std::chrono::steady_clock::now() < end) {
      RunTask(io_, Sleep(std::chrono::milliseconds(5)));
    }
    return done();
  }

  /// One stream that runs until it ends or the test does.
  struct Stream {
    std::shared_ptr<FakeCall> call;
    std::shared_ptr<std::optional<h2::Status>> ended =
        std::make_shared<std::optional<h2::Status>>();

    std::size_t messages() const { return call->written.size(); }
    template <class Message>
    Message Last() const {
      return ParseAs<Message>(call->written.back());
    }
  };

  static Task<void> Keep(Task<h2::Status> stream,
                         std::shared_ptr<std::optional<h2::Status>> ended) {
    auto status = co_await std::move(stream);
    *ended = std::move(status);
  }

  using Method = Task<h2::Status> (WorkloadApi::*)(std::shared_ptr<h2::ServerCall>);
  Stream Open(Method method) {
    Stream stream{.call = std::make_shared<FakeCall>("")};
    calls_.Spawn("stream", Keep((*api_.*method)(stream.call), stream.ended));
    return stream;
  }

  /// The one message of a stream that begins now.
  template <class Message>
  Message First(Method method) {
    const Stream stream = Open(method);
    EXPECT_TRUE(Until([&] { return stream.messages() > 0; }));
    return stream.Last<Message>();
  }
  /// How a stream that begins now ends.
  h2::Status EndOf(Method method) {
    return RunTask(io_, (*api_.*method)(std::make_shared<FakeCall>("")));
  }

  TrustDomain domain_ = TrustDomain::Parse("example.org").value();
  asio::io_context io_;
  asio::thread_pool pool_{2};
  FakeClock clock_{SystemClock().Now()};
  FakeServerClient server_{clock_};
  int asked_ = 0;
  TaskGroup calls_;
  std::unique_ptr<WorkloadAttestation> attestation_;
  std::unique_ptr<IdentityService> identities_;
  std::unique_ptr<WorkloadApi> api_;
};

/// The entry of MakeEntry with the trust domain other.org to federate with.
inline RegistrationEntry MakeFederatedEntry(const std::string& id, const std::string& selector) {
  RegistrationEntry entry = MakeEntry(id, selector);
  entry.federates_with = {TrustDomain::Parse("other.org").value()};
  return entry;
}

}  // namespace credence
