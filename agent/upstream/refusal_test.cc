#include "agent/upstream/refusal.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "google/rpc/status.pb.h"
#include "spire/api/types/types.pb.h"

namespace credence {
namespace {

using spire::api::types::PermissionDeniedDetails;

std::string DetailsFor(PermissionDeniedDetails::Reason reason) {
  PermissionDeniedDetails denied;
  denied.set_reason(reason);
  google::rpc::Status status;
  status.add_details()->PackFrom(denied);
  return status.SerializeAsString();
}

TEST(RefusalTest, EveryReasonOfTheServerIsTold) {
  EXPECT_EQ(RefusalFromDetails(DetailsFor(PermissionDeniedDetails::AGENT_EXPIRED)),
            Refusal::kAgentExpired);
  EXPECT_EQ(RefusalFromDetails(DetailsFor(PermissionDeniedDetails::AGENT_NOT_ATTESTED)),
            Refusal::kAgentNotAttested);
  EXPECT_EQ(RefusalFromDetails(DetailsFor(PermissionDeniedDetails::AGENT_NOT_ACTIVE)),
            Refusal::kAgentNotActive);
  EXPECT_EQ(RefusalFromDetails(DetailsFor(PermissionDeniedDetails::AGENT_BANNED)),
            Refusal::kAgentBanned);
  EXPECT_EQ(RefusalFromDetails(DetailsFor(PermissionDeniedDetails::AGENT_MUST_REATTEST)),
            Refusal::kAgentMustReattest);
}

TEST(RefusalTest, AnythingElseIsNone) {
  EXPECT_EQ(RefusalFromDetails(""), Refusal::kNone);
  EXPECT_EQ(RefusalFromDetails("no protobuf"), Refusal::kNone);
  EXPECT_EQ(RefusalFromDetails(DetailsFor(PermissionDeniedDetails::UNKNOWN)), Refusal::kNone);
  EXPECT_EQ(RefusalFromDetails(DetailsFor(static_cast<PermissionDeniedDetails::Reason>(99))),
            Refusal::kNone);
  EXPECT_EQ(RefusalFromDetails(std::string(1 << 20, 'x')), Refusal::kNone);
  google::rpc::Status other;
  other.add_details()->PackFrom(spire::api::types::Selector());
  EXPECT_EQ(RefusalFromDetails(other.SerializeAsString()), Refusal::kNone);
}

TEST(RefusalTest, DetailIsFoundBehindOthers) {
  google::rpc::Status status;
  status.add_details()->PackFrom(spire::api::types::Selector());
  PermissionDeniedDetails denied;
  denied.set_reason(PermissionDeniedDetails::AGENT_BANNED);
  status.add_details()->PackFrom(denied);
  EXPECT_EQ(RefusalFromDetails(status.SerializeAsString()), Refusal::kAgentBanned);
}

TEST(RefusalTest, TextsDiffer) {
  std::set<std::string_view> texts;
  for (const auto refusal : {Refusal::kNone,
                             Refusal::kAgentExpired,
                             Refusal::kAgentNotAttested,
                             Refusal::kAgentNotActive,
                             Refusal::kAgentBanned,
                             Refusal::kAgentMustReattest}) {
    texts.insert(RefusalText(refusal));
  }
  EXPECT_EQ(texts.size(), 6U);
}

}  // namespace
}  // namespace credence
