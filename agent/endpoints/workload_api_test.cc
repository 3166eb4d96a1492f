#include "agent/endpoints/workload_api.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "agent/identity/testing/fake_server_client.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

/// Says that every process has these selectors; counts how often it is asked.
class FixedAttestor final : public WorkloadAttestor {
 public:
  FixedAttestor(const std::string& selector, int& asked)
      : selector_(Selector::Parse(selector).value()), asked_(asked) {}
  std::string_view name() const override { return "unix"; }
  Task<Result<std::vector<Selector>>> Attest(std::shared_ptr<const PinnedProcess>,
                                             Deadline) override {
    ++asked_;
    std::vector<Selector> selectors{selector_};
    co_return selectors;
  }

 private:
  Selector selector_;
  int& asked_;
};

/// A call from this very process.
class FakeCall final : public h2::ServerCall {
 public:
  FakeCall(std::string request, std::multimap<std::string, std::string, std::less<>> metadata)
      : request_(std::move(request)), metadata_(std::move(metadata)) {
    std::array<int, 2> pair{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    const UniqueFd one(pair[0]);
    const UniqueFd other(pair[1]);
    caller_ = std::make_shared<const Caller>(IdentifyCaller(pair[0]).value());
  }

  const std::shared_ptr<const Caller>& caller() const override { return caller_; }
  std::string_view path() const override { return ""; }
  std::vector<std::string_view> Metadata(std::string_view key) const override {
    std::vector<std::string_view> values;
    for (auto [at, end] = metadata_.equal_range(key); at != end; ++at) {
      values.push_back(at->second);
    }
    return values;
  }
  Deadline deadline() const override { return Deadline::After(seconds(10)); }
  Task<Result<std::optional<std::string>>> Read() override {
    co_return std::exchange(request_, std::nullopt);
  }
  Task<Result<void>> Write(SharedSecret message) override {
    written.push_back(std::move(message));
    co_return Ok();
  }

  std::vector<SharedSecret> written;

 private:
  std::optional<std::string> request_;
  std::multimap<std::string, std::string, std::less<>> metadata_;
  std::shared_ptr<const Caller> caller_;
};

using Metadata = std::multimap<std::string, std::string, std::less<>>;
const Metadata kHeader{{"workload.spiffe.io", "true"}};

class WorkloadApiTest : public testing::Test {
 protected:
  WorkloadApiTest() : calls_(io_.get_executor()) {
    std::vector<std::unique_ptr<WorkloadAttestor>> attestors;
    attestors.push_back(std::make_unique<FixedAttestor>("unix:uid:1", asked_));
    attestation_ = std::make_unique<WorkloadAttestation>(
        io_.get_executor(), std::move(attestors), WorkloadAttestation::Options{});
    IdentityService::Options options{.trust_domain = domain_};
    options.sync_interval = milliseconds(20);
    identities_ = std::make_unique<IdentityService>(
        io_.get_executor(), pool_, server_, clock_, options, [](SharedBundle) {});
    api_ = std::make_unique<WorkloadApi>(
        *attestation_, *identities_, clock_, WorkloadApi::Options{.trust_domain = domain_}, [] {
          return "starting";
        });
  }

  ~WorkloadApiTest() override {
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
    const auto end = std::chrono::steady_clock::now() + seconds(5);
    while (!done() && std::chrono::steady_clock::now() < end) {
      RunTask(io_, Sleep(milliseconds(5)));
    }
    return done();
  }

  /// One stream that runs until it ends or the test does.
  struct Stream {
    std::shared_ptr<FakeCall> call;
    std::shared_ptr<std::optional<h2::Status>> ended =
        std::make_shared<std::optional<h2::Status>>();
  };

  static Task<void> Keep(Task<h2::Status> stream,
                         std::shared_ptr<std::optional<h2::Status>> ended) {
    auto status = co_await std::move(stream);
    *ended = std::move(status);
  }

  Stream Open(h2::Handler handler, Metadata metadata = kHeader) {
    Stream stream{.call = std::make_shared<FakeCall>("", std::move(metadata))};
    calls_.Spawn("stream", Keep(handler(stream.call), stream.ended));
    return stream;
  }

  static spiffe::workload::X509SVIDResponse ParseX509(const SharedSecret& message) {
    spiffe::workload::X509SVIDResponse response;
    EXPECT_TRUE(response.ParseFromArray(message->data(), static_cast<int>(message->size())));
    return response;
  }

  TrustDomain domain_ = TrustDomain::Parse("example.org").value();
  asio::io_context io_;
  asio::thread_pool pool_{2};
  FakeClock clock_{FromUnixSeconds(1'700'000'000)};
  FakeServerClient server_{clock_};
  int asked_ = 0;
  TaskGroup calls_;
  std::unique_ptr<WorkloadAttestation> attestation_;
  std::unique_ptr<IdentityService> identities_;
  std::unique_ptr<WorkloadApi> api_;
};

TEST_F(WorkloadApiTest, WE_7_MissingOrWrongHeaderIsRefusedBeforeAttestation) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const std::vector<Metadata> wrong{
      {},
      {{"workload.spiffe.io", "True"}},
      {{"workload.spiffe.io", "1"}},
      {{"workload.spiffe.io", ""}},
      {{"workload.spiffe.io", "true"}, {"workload.spiffe.io", "true"}}};
  for (const Metadata& metadata : wrong) {
    const auto call = std::make_shared<FakeCall>("", metadata);
    for (const auto& status : {RunTask(io_, api_->FetchX509Svid(call)),
                               RunTask(io_, api_->FetchX509Bundles(call)),
                               RunTask(io_, api_->FetchJwtBundles(call)),
                               RunTask(io_, api_->FetchJwtSvid(call, "")).status,
                               RunTask(io_, api_->ValidateJwt(call, "")).status}) {
      EXPECT_EQ(status.code, Code::kInvalidArgument);
      EXPECT_THAT(status.message, HasSubstr("workload.spiffe.io: true"));
    }
  }
  EXPECT_EQ(asked_, 0);
}

TEST_F(WorkloadApiTest, WE_17_BeforeTheFirstSyncTheAnswerIsUnavailableAndSaysWhy) {
  const auto call = std::make_shared<FakeCall>("", kHeader);
  const h2::Status status = RunTask(io_, api_->FetchX509Svid(call));
  EXPECT_EQ(status.code, Code::kUnavailable);
  EXPECT_THAT(status.message, HasSubstr("starting"));
}

TEST_F(WorkloadApiTest, WE_19_CallerWithoutIdentityIsRefusedOnEveryMethod) {
  StartWith({MakeEntry("a", "unix:uid:2")});
  const auto open = [&] { return std::make_shared<FakeCall>("", kHeader); };
  spiffe::workload::JWTSVIDRequest request;
  request.add_audience("x");
  EXPECT_EQ(RunTask(io_, api_->FetchX509Svid(open())).code, Code::kPermissionDenied);
  EXPECT_EQ(RunTask(io_, api_->FetchX509Bundles(open())).code, Code::kPermissionDenied);
  EXPECT_EQ(RunTask(io_, api_->FetchJwtBundles(open())).code, Code::kPermissionDenied);
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(open(), request.SerializeAsString())).status.code,
            Code::kPermissionDenied);
}

TEST_F(WorkloadApiTest, WA_16_17_EachIdentityComesWithAllItsFields) {
  RegistrationEntry first = MakeEntry("a", "unix:uid:1");
  first.hint = "internal";
  StartWith({first, MakeEntry("b", "unix:uid:1"), MakeEntry("c", "unix:uid:2")});
  const Stream stream = Open([&](auto call) { return api_->FetchX509Svid(std::move(call)); });
  ASSERT_TRUE(Until([&] { return !stream.call->written.empty(); }));
  const auto response = ParseX509(stream.call->written[0]);
  ASSERT_EQ(response.svids_size(), 2);
  EXPECT_EQ(response.svids(0).spiffe_id(), "spiffe://example.org/a");
  EXPECT_EQ(response.svids(0).hint(), "internal");
  EXPECT_EQ(response.svids(1).spiffe_id(), "spiffe://example.org/b");
  for (const auto& svid : response.svids()) {
    EXPECT_THAT(svid.x509_svid(), HasSubstr("certificate"));
    EXPECT_FALSE(svid.x509_svid_key().empty());
    EXPECT_EQ(svid.bundle(), "root");
  }
}

TEST_F(WorkloadApiTest, WA_7_8_26_StreamFollowsChangesWithWholeStateAndEndsWithTheLastIdentity) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream stream = Open([&](auto call) { return api_->FetchX509Svid(std::move(call)); });
  ASSERT_TRUE(Until([&] { return stream.call->written.size() == 1; }));
  server_.entries.insert_or_assign("b", MakeEntry("b", "unix:uid:1"));
  ASSERT_TRUE(Until([&] { return stream.call->written.size() == 2; }));
  EXPECT_THAT(ParseX509(stream.call->written[1]).svids(), SizeIs(2));
  server_.entries.erase("a");
  ASSERT_TRUE(Until([&] { return stream.call->written.size() == 3; }));
  EXPECT_THAT(ParseX509(stream.call->written[2]).svids(), SizeIs(1));
  EXPECT_FALSE(stream.ended->has_value());
  server_.entries.clear();
  ASSERT_TRUE(Until([&] { return stream.ended->has_value(); }));
  EXPECT_EQ((*stream.ended)->code, Code::kPermissionDenied);
}

TEST_F(WorkloadApiTest, NothingIsSentTwiceWhenNothingChanged) {
  StartWith({MakeEntry("a", "unix:uid:1"), MakeEntry("z", "unix:uid:9")});
  const Stream stream = Open([&](auto call) { return api_->FetchX509Svid(std::move(call)); });
  ASSERT_TRUE(Until([&] { return stream.call->written.size() == 1; }));
  server_.entries.at("z").revision = 7;
  RunTask(io_, Sleep(milliseconds(200)));
  EXPECT_THAT(stream.call->written, SizeIs(1)) << "another workload's change is none of ours";
}

TEST_F(WorkloadApiTest, StreamsOfOneWorkloadShareOneMessage) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream one = Open([&](auto call) { return api_->FetchX509Svid(std::move(call)); });
  const Stream two = Open([&](auto call) { return api_->FetchX509Svid(std::move(call)); });
  ASSERT_TRUE(
      Until([&] { return one.call->written.size() == 1 && two.call->written.size() == 1; }));
  EXPECT_EQ(one.call->written[0], two.call->written[0]);
}

TEST_F(WorkloadApiTest, BundleStreamsShareOneMessageOverChangesThatLeaveTheBundlesAlone) {
  RegistrationEntry entry = MakeEntry("a", "unix:uid:1");
  entry.federates_with = {TrustDomain::Parse("one.org").value(),
                          TrustDomain::Parse("two.org").value(),
                          TrustDomain::Parse("three.org").value()};
  StartWith({entry});
  const auto x509 = [&](auto call) { return api_->FetchX509Bundles(std::move(call)); };
  const auto jwt = [&](auto call) { return api_->FetchJwtBundles(std::move(call)); };
  const auto all_federated = [&] { return identities_->store().federated_bundles().size() == 3; };
  ASSERT_TRUE(Until(all_federated));
  const std::vector<Stream> streams = {Open(x509), Open(x509), Open(jwt), Open(jwt)};
  ASSERT_TRUE(Until([&] {
    return std::ranges::all_of(streams, [](const auto& one) { return !one.call->written.empty(); });
  }));
  const std::uint64_t version = identities_->store().changes().version();
  server_.entries.insert_or_assign("z", MakeEntry("z", "unix:uid:9"));
  ASSERT_TRUE(Until([&] { return identities_->store().changes().version() > version; }));
  const Stream late_x509 = Open(x509);
  const Stream late_jwt = Open(jwt);
  ASSERT_TRUE(
      Until([&] { return !late_x509.call->written.empty() && !late_jwt.call->written.empty(); }));
  for (const Stream& one : streams) {
    EXPECT_THAT(one.call->written, SizeIs(1));
  }
  EXPECT_EQ(streams[0].call->written[0], streams[1].call->written[0]);
  EXPECT_EQ(streams[0].call->written[0], late_x509.call->written[0]);
  EXPECT_EQ(streams[2].call->written[0], streams[3].call->written[0]);
  EXPECT_EQ(streams[2].call->written[0], late_jwt.call->written[0]);
}

TEST_F(WorkloadApiTest, WA_27_37_BundlesAreKeyedByTrustDomainIdAndFollowFederation) {
  RegistrationEntry entry = MakeEntry("a", "unix:uid:1");
  entry.federates_with = {TrustDomain::Parse("other.org").value()};
  StartWith({entry});
  const Stream stream = Open([&](auto call) { return api_->FetchX509Bundles(std::move(call)); });
  ASSERT_TRUE(Until([&] { return !stream.call->written.empty(); }));
  spiffe::workload::X509BundlesResponse response;
  const SharedSecret& message = stream.call->written.back();
  ASSERT_TRUE(response.ParseFromArray(message->data(), static_cast<int>(message->size())));
  EXPECT_EQ(response.bundles().at("spiffe://example.org"), "root");
  EXPECT_EQ(response.bundles().at("spiffe://other.org"), "foreign");
}

TEST_F(WorkloadApiTest, WA_13_EmptyMandatoryFieldsAreInvalid) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const auto call = std::make_shared<FakeCall>("", kHeader);
  spiffe::workload::JWTSVIDRequest empty_value;
  empty_value.add_audience("");
  spiffe::workload::ValidateJWTSVIDRequest no_token;
  no_token.set_audience("x");
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(call, "")).status.code, Code::kInvalidArgument);
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(call, empty_value.SerializeAsString())).status.code,
            Code::kInvalidArgument);
  EXPECT_EQ(RunTask(io_, api_->ValidateJwt(call, no_token.SerializeAsString())).status.code,
            Code::kInvalidArgument);
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(call, "\xff\xff garbage")).status.code,
            Code::kInvalidArgument);
}

TEST_F(WorkloadApiTest, WA_32_33_36_JwtSvidsForAllIdentitiesOrTheOneAskedFor) {
  StartWith(
      {MakeEntry("a", "unix:uid:1"), MakeEntry("b", "unix:uid:1"), MakeEntry("c", "unix:uid:2")});
  const auto call = std::make_shared<FakeCall>("", kHeader);
  const auto fetch = [&](const std::string& spiffe_id) {
    spiffe::workload::JWTSVIDRequest request;
    request.add_audience("x");
    request.set_spiffe_id(spiffe_id);
    return RunTask(io_, api_->FetchJwtSvid(call, request.SerializeAsString()));
  };
  const auto ids = [](const h2::UnaryReply& reply) {
    spiffe::workload::JWTSVIDResponse response;
    EXPECT_TRUE(
        response.ParseFromArray(reply.message->data(), static_cast<int>(reply.message->size())));
    std::vector<std::string> found;
    for (const auto& svid : response.svids()) {
      found.push_back(svid.spiffe_id());
    }
    return found;
  };
  EXPECT_THAT(ids(fetch("")), ElementsAre("spiffe://example.org/a", "spiffe://example.org/b"));
  EXPECT_THAT(ids(fetch("spiffe://example.org/b")), ElementsAre("spiffe://example.org/b"));
  EXPECT_EQ(fetch("spiffe://example.org/c").status.code, Code::kPermissionDenied);
  EXPECT_EQ(fetch("not a SPIFFE ID").status.code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace credence
