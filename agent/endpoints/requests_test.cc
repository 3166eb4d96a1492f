#include "agent/endpoints/requests.h"

#include <gmock/gmock.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

spiffe::workload::JWTSVIDRequest Audiences(int count, std::size_t bytes_each) {
  spiffe::workload::JWTSVIDRequest request;
  for (int i = 0; i < count; ++i) {
    request.add_audience(std::string(bytes_each, 'a'));
  }
  return request;
}

TEST(CheckAudienceTest, BoundsNumberAndBytes) {
  EXPECT_THAT(CheckAudience(Audiences(1, 1)), IsOk());
  EXPECT_THAT(CheckAudience(Audiences(64, 128)), IsOk());
  EXPECT_THAT(CheckAudience(Audiences(65, 1)),
              FailsWith(Code::kInvalidArgument, HasSubstr("64 audiences")));
  EXPECT_THAT(CheckAudience(Audiences(1, 8193)),
              FailsWith(Code::kInvalidArgument, HasSubstr("8192 bytes")));
  EXPECT_THAT(CheckAudience(Audiences(0, 0)), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(CheckAudience(Audiences(2, 0)), FailsWithCode(Code::kInvalidArgument));
}

TEST(ToQueryTest, TakesEveryField) {
  credential::v1::GetCredentialRequest request;
  request.set_destination("kv");
  request.set_spiffe_id("spiffe://example.org/web");
  (*request.mutable_parameters())["role"] = "reader";
  request.set_min_ttl_seconds(60);
  const auto query = ToQuery(request, Deadline::After(std::chrono::seconds(1)));
  ASSERT_THAT(query, IsOk());
  EXPECT_EQ(query->destination, "kv");
  EXPECT_EQ(query->spiffe_id->text(), "spiffe://example.org/web");
  EXPECT_EQ(query->parameters.at("role"), "reader");
  EXPECT_EQ(query->min_ttl, std::chrono::seconds(60));
}

struct BadRequest {
  std::string name;
  void (*damage)(credential::v1::GetCredentialRequest&);
};

class ToQueryRejectTest : public testing::TestWithParam<BadRequest> {};

TEST_P(ToQueryRejectTest, IsInvalid) {
  credential::v1::GetCredentialRequest request;
  request.set_destination("kv");
  const Deadline deadline = Deadline::After(std::chrono::seconds(1));
  ASSERT_THAT(ToQuery(request, deadline), IsOk());
  GetParam().damage(request);
  EXPECT_THAT(ToQuery(request, deadline), FailsWithCode(Code::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(
    Rules,
    ToQueryRejectTest,
    testing::Values(
        BadRequest{"NoDestination", [](auto& request) { request.clear_destination(); }},
        BadRequest{"NoSpiffeId", [](auto& request) { request.set_spiffe_id("web"); }},
        BadRequest{"TooManyParameters",
                   [](auto& request) {
                     for (int i = 0; i < 33; ++i) {
                       (*request.mutable_parameters())[std::to_string(i)] = "";
                     }
                   }},
        BadRequest{
            "LongParameter",
            [](auto& request) { (*request.mutable_parameters())["a"] = std::string(4096, 'b'); }},
        BadRequest{"NegativeTtl", [](auto& request) { request.set_min_ttl_seconds(-1); }},
        BadRequest{"TtlOverAYear",
                   [](auto& request) { request.set_min_ttl_seconds(367 * 24 * 3600); }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace credence
