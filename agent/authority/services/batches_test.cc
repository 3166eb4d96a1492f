#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/authority/services/bundle_batches.h"
#include "agent/authority/services/entry_batches.h"
#include "agent/authority/services/testing/entries.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest;
using spire::api::types::Entry;

/// Plans against tables and applies the plan to them, as the writer does.
class BatchTest : public testing::Test {
 protected:
  std::size_t Perform(const AuthorityState::Planner& plan) {
    auto planned = plan(tables_);
    EXPECT_THAT(planned, IsOk());
    if (!planned->changes.empty()) {
      planned->apply(tables_);
    }
    return planned->changes.size();
  }

  std::shared_ptr<CreateBatch> Create(const std::vector<Entry>& entries) {
    auto batch = std::make_shared<CreateBatch>();
    for (const Entry& entry : entries) {
      *batch->request.add_entries() = entry;
    }
    Perform(PlanToCreate(batch, own_, 1000));
    return batch;
  }

  Code CodeOf(const auto& results, int index) {
    return static_cast<Code>(results.results(index).status().code());
  }

  void SetBundle(const std::string& name) {
    auto batch = std::make_shared<SetBundlesBatch>();
    batch->request.add_bundle()->set_trust_domain(name);
    Perform(PlanToSetBundles(batch, own_, 1000));
    ASSERT_EQ(CodeOf(batch->response, 0), Code::kOk) << batch->response.DebugString();
  }

  std::shared_ptr<DeleteBundlesBatch> DeleteBundle(const std::string& name,
                                                   BatchDeleteFederatedBundleRequest::Mode mode) {
    auto batch = std::make_shared<DeleteBundlesBatch>();
    batch->request.add_trust_domains(name);
    batch->request.set_mode(mode);
    Perform(PlanToDeleteBundles(batch));
    return batch;
  }

  TrustDomain own_ = TrustDomain::Parse("example.org").value();
  AuthorityTables tables_;
};

TEST_F(BatchTest, CreatedEntriesGetAnIdATimeAndRevisionZero) {
  Entry wanted = *EntryOf("", "/web", "/n");
  wanted.set_revision_number(7);
  const auto batch = Create({wanted});
  ASSERT_EQ(CodeOf(batch->response, 0), Code::kOk);
  const Entry& created = batch->response.results(0).entry();
  EXPECT_EQ(created.id().size(), 36U);
  EXPECT_EQ(created.created_at(), 1000);
  EXPECT_EQ(created.revision_number(), 0);
  EXPECT_NE(tables_.entries.Find(created.id()), nullptr);
}

TEST_F(BatchTest, EachItemIsJudgedForItself) {
  const auto batch = Create({*EntryOf("a", "/web", "/n"),
                             *EntryOf("b", "", "/n"),
                             *EntryOf("c", "/web", "/n"),
                             *EntryOf("a", "/db", "/n"),
                             *EntryOf("d", "/db", "/n")});
  EXPECT_EQ(CodeOf(batch->response, 0), Code::kOk);
  EXPECT_EQ(CodeOf(batch->response, 1), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(batch->response, 2), Code::kAlreadyExists);
  EXPECT_EQ(batch->response.results(2).entry().id(), "a");
  EXPECT_EQ(CodeOf(batch->response, 3), Code::kAlreadyExists);
  EXPECT_FALSE(batch->response.results(3).has_entry());
  EXPECT_EQ(CodeOf(batch->response, 4), Code::kOk);
  EXPECT_EQ(tables_.entries.all().size(), 2U);
}

TEST_F(BatchTest, AnUpdateRaisesTheRevisionAndKeepsWhatTheMaskLeavesOut) {
  Create({*EntryOf("a", "/web", "/n")});
  auto batch = std::make_shared<UpdateBatch>();
  Entry& wanted = *batch->request.add_entries();
  wanted.set_id("a");
  wanted.set_hint("new");
  batch->request.mutable_input_mask()->set_hint(true);
  *batch->request.add_entries() = wanted;
  batch->request.mutable_entries(1)->set_hint("newer");
  EXPECT_EQ(Perform(PlanToUpdate(batch, own_)), 2U);
  EXPECT_EQ(CodeOf(batch->response, 1), Code::kOk);
  const auto stored = tables_.entries.Find("a");
  EXPECT_EQ(stored->hint(), "newer");
  EXPECT_EQ(stored->spiffe_id().path(), "/web");
  EXPECT_EQ(stored->revision_number(), 2);
  EXPECT_EQ(stored->created_at(), 1000);
}

TEST_F(BatchTest, AnUpdateThatBreaksARuleOrMeetsATwinChangesNothing) {
  Create({*EntryOf("a", "/web", "/n"), *EntryOf("b", "/db", "/n")});
  auto batch = std::make_shared<UpdateBatch>();
  *batch->request.add_entries() = *EntryOf("a", "/db", "/n");
  *batch->request.add_entries() = *EntryOf("a", "/spire/x", "/n");
  *batch->request.add_entries() = *EntryOf("z", "/web", "/n");
  EXPECT_EQ(Perform(PlanToUpdate(batch, own_)), 0U);
  EXPECT_EQ(CodeOf(batch->response, 0), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(batch->response, 1), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(batch->response, 2), Code::kNotFound);
}

TEST_F(BatchTest, UpdatesOfOneBatchSeeWhatTheOnesBeforeThemMade) {
  Create({*EntryOf("a", "/web", "/n"), *EntryOf("b", "/db", "/n")});
  auto alike = std::make_shared<UpdateBatch>();
  *alike->request.add_entries() = *EntryOf("a", "/cache", "/n");
  *alike->request.add_entries() = *EntryOf("b", "/cache", "/n");
  EXPECT_EQ(Perform(PlanToUpdate(alike, own_)), 1U);
  EXPECT_EQ(CodeOf(alike->response, 0), Code::kOk);
  EXPECT_EQ(CodeOf(alike->response, 1), Code::kAlreadyExists);
  auto swapped = std::make_shared<UpdateBatch>();
  *swapped->request.add_entries() = *EntryOf("a", "/other", "/n");
  *swapped->request.add_entries() = *EntryOf("b", "/cache", "/n");
  *swapped->request.add_entries() = *EntryOf("a", "/db", "/n");
  EXPECT_EQ(Perform(PlanToUpdate(swapped, own_)), 3U);
  EXPECT_EQ(tables_.entries.Find("a")->spiffe_id().path(), "/db");
  EXPECT_EQ(tables_.entries.Find("a")->revision_number(), 3);
  EXPECT_EQ(tables_.entries.Find("b")->spiffe_id().path(), "/cache");
}

TEST_F(BatchTest, DeletingSaysWhatWasNotThere) {
  Create({*EntryOf("a", "/web", "/n")});
  auto batch = std::make_shared<DeleteBatch>();
  batch->request.add_ids("a");
  batch->request.add_ids("b");
  Perform(PlanToDelete(batch));
  EXPECT_EQ(CodeOf(batch->response, 0), Code::kOk);
  EXPECT_EQ(CodeOf(batch->response, 1), Code::kNotFound);
  EXPECT_TRUE(tables_.entries.all().empty());
}

TEST_F(BatchTest, TheOwnBundleAndDamagedOnesAreRefused) {
  auto batch = std::make_shared<SetBundlesBatch>();
  batch->request.add_bundle()->set_trust_domain("example.org");
  batch->request.add_bundle()->set_trust_domain("Other");
  batch->request.add_bundle()->set_trust_domain("other.org");
  batch->request.mutable_bundle(2)->add_x509_authorities()->set_asn1("no certificate");
  EXPECT_EQ(Perform(PlanToSetBundles(batch, own_, 1000)), 0U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(CodeOf(batch->response, i), Code::kInvalidArgument) << i;
  }
}

TEST_F(BatchTest, ABundleThatEntriesUseGoesOnlyAsTheModeSays) {
  using Request = BatchDeleteFederatedBundleRequest;
  SetBundle("other.org");
  Entry entry = *EntryOf("a", "/web", "/n");
  entry.add_federates_with("other.org");
  Create({entry});
  EXPECT_EQ(CodeOf(DeleteBundle("other.org", Request::RESTRICT)->response, 0),
            Code::kFailedPrecondition);
  EXPECT_TRUE(tables_.federation.contains("other.org"));
  EXPECT_EQ(CodeOf(DeleteBundle("other.org", Request::DISSOCIATE)->response, 0), Code::kOk);
  EXPECT_FALSE(tables_.federation.contains("other.org"));
  EXPECT_TRUE(tables_.entries.Find("a")->federates_with().empty());
  EXPECT_EQ(tables_.entries.Find("a")->revision_number(), 1);
  SetBundle("other.org");
  entry.set_id("b");
  entry.mutable_spiffe_id()->set_path("/db");
  Create({entry});
  EXPECT_EQ(CodeOf(DeleteBundle("other.org", Request::DELETE)->response, 0), Code::kOk);
  EXPECT_EQ(tables_.entries.Find("b"), nullptr);
  EXPECT_NE(tables_.entries.Find("a"), nullptr);
  EXPECT_EQ(CodeOf(DeleteBundle("other.org", Request::RESTRICT)->response, 0), Code::kNotFound);
}

}  // namespace
}  // namespace credence
