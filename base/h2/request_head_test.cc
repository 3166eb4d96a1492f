#include "base/h2/request_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence::h2 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Fields = std::vector<std::pair<std::string, std::string>>;

RequestHead HeadOf(const Fields& fields) {
  RequestHead head(2000);
  for (const auto& [name, value] : fields) {
    head.Add(name, value);
  }
  return head;
}

/// A good request with `more` behind it.
Fields Good(const Fields& more = {}) {
  Fields fields{{":method", "POST"},
                {":scheme", "http"},
                {":path", "/a.B/C"},
                {":authority", "/tmp/agent.sock"},
                {"content-type", "application/grpc"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

TEST(RequestHeadTest, ReadsAGoodRequest) {
  const RequestHead head = HeadOf(Good({{"te", "trailers"},
                                        {"grpc-timeout", "5S"},
                                        {"grpc-encoding", "gzip"},
                                        {"grpc-accept-encoding", "identity, deflate, gzip"},
                                        {"workload.spiffe.io", "true"},
                                        {"user-agent", "x"},
                                        {"workload.spiffe.io", "false"}}));
  EXPECT_FALSE(head.Check().has_value());
  EXPECT_EQ(head.path(), "/a.B/C");
  EXPECT_EQ(head.timeout(), std::chrono::seconds(5));
  EXPECT_EQ(head.compression(), Compression::kGzip);
  EXPECT_THAT(head.Metadata("workload.spiffe.io"), ElementsAre("true", "false"));
  EXPECT_THAT(head.Metadata("grpc-timeout"), IsEmpty());
  EXPECT_THAT(head.Metadata("te"), IsEmpty());
  EXPECT_THAT(head.Metadata(":path"), IsEmpty());
}

TEST(RequestHeadTest, AcceptsTheContentTypesOfGrpc) {
  for (const char* type :
       {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"}) {
    EXPECT_FALSE(HeadOf(Good({{"content-type", type}})).Check().has_value()) << type;
  }
}

struct RefusalCase {
  const char* name;
  Fields fields;
  int http_status;
  Code code;
};

class RefusedHeadTest : public testing::TestWithParam<RefusalCase> {};

TEST_P(RefusedHeadTest, NamesTheReason) {
  const auto refusal = HeadOf(GetParam().fields).Check();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->http_status, GetParam().http_status);
  EXPECT_EQ(refusal->status.code, GetParam().code);
}

INSTANTIATE_TEST_SUITE_P(
    RequestHead,
    RefusedHeadTest,
    testing::Values(
        RefusalCase{"Nothing", {}, 400, Code::kOk},
        RefusalCase{
            "NoPath", {{":method", "POST"}, {"content-type", "application/grpc"}}, 400, Code::kOk},
        RefusalCase{
            "NoMethod", {{":path", "/a"}, {"content-type", "application/grpc"}}, 400, Code::kOk},
        RefusalCase{"TwoPaths", Good({{":path", "/other"}}), 400, Code::kOk},
        RefusalCase{"TwoMethods", Good({{":method", "POST"}}), 400, Code::kOk},
        RefusalCase{"UnknownPseudo", Good({{":protocol", "websocket"}}), 400, Code::kOk},
        RefusalCase{"AsteriskPath",
                    {{":method", "POST"}, {":path", "*"}, {"content-type", "application/grpc"}},
                    400,
                    Code::kOk},
        RefusalCase{"Get",
                    {{":method", "GET"}, {":path", "/a"}, {"content-type", "application/grpc"}},
                    405,
                    Code::kOk},
        RefusalCase{"NoContentType", {{":method", "POST"}, {":path", "/a"}}, 415, Code::kOk},
        RefusalCase{"Json", Good({{"content-type", "application/json"}}), 415, Code::kOk},
        RefusalCase{"GrpcWeb", Good({{"content-type", "application/grpc-web"}}), 415, Code::kOk},
        RefusalCase{"GrpcJson", Good({{"content-type", "application/grpc+json"}}), 415, Code::kOk},
        RefusalCase{"Brotli", Good({{"grpc-encoding", "br"}}), 200, Code::kUnimplemented},
        RefusalCase{"BadTimeout", Good({{"grpc-timeout", "soon"}}), 200, Code::kInvalidArgument},
        RefusalCase{
            "TooLarge", Good({{"x", std::string(2000, 'y')}}), 200, Code::kResourceExhausted}),
    [](const auto& each) { return each.param.name; });

TEST(RequestHeadTest, KeepsNothingOverItsLimit) {
  RequestHead head(100);
  head.Add("a", std::string(50, 'x'));
  head.Add("a", std::string(50, 'y'));
  head.Add("a", "z");
  EXPECT_THAT(head.Metadata("a"), ElementsAre(std::string(50, 'x')));
  EXPECT_GT(head.size(), 100U);
  EXPECT_THAT(head.Check()->status.message, HasSubstr("limit of 100 bytes"));
}

}  // namespace
}  // namespace credence::h2
