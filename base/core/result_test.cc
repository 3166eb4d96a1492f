#include "base/core/result.h"

#include <memory>
#include <sstream>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::Eq;

TEST(ResultTest, HoldsAValue) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(**result, 7);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 7);
}

TEST(ResultTest, HoldsAnError) {
  const Result<int> result = Error(Code::kNotFound, "no such entry");
  EXPECT_THAT(result, FailsWith(Code::kNotFound, Eq("no such entry")));
}

TEST(ResultTest, ADefaultOneIsAFailure) {
  EXPECT_THAT(Result<int>(), FailsWith(Code::kInternal, Eq("result was never set")));
  EXPECT_THAT(Result<void>(), FailsWith(Code::kInternal, Eq("result was never set")));
}

TEST(ResultTest, OkIsSuccess) {
  EXPECT_THAT(Ok(), IsOk());
}

TEST(ResultDeathTest, MisuseTerminates) {
  const Result<int> failed = Error(Code::kNotFound, "x");
  const Result<int> fine = 1;
  EXPECT_DEATH((void)failed.value(), "ok");
  EXPECT_DEATH((void)fine.error(), "ok");
  EXPECT_DEATH((void)Error(Code::kOk, "x"), "kOk");
}

TEST(ErrorTest, SpeaksWithItsCode) {
  const Error error(Code::kPermissionDenied, "uid 7 may not");
  EXPECT_EQ(error.ToString(), "PERMISSION_DENIED: uid 7 may not");
  std::ostringstream out;
  out << error;
  EXPECT_EQ(out.str(), error.ToString());
}

TEST(ErrorTest, WrappingKeepsTheCode) {
  const Error wrapped = Error(Code::kAborted, "inner").Wrap("middle").Wrap("outer");
  EXPECT_EQ(wrapped.code(), Code::kAborted);
  EXPECT_EQ(wrapped.message(), "outer: middle: inner");
}

TEST(CodeNameTest, CoversTheTableAndNothingElse) {
  EXPECT_EQ(CodeName(Code::kOk), "OK");
  EXPECT_EQ(CodeName(Code::kUnauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(static_cast<Code>(17)), "UNKNOWN");
  EXPECT_EQ(CodeName(static_cast<Code>(-1)), "UNKNOWN");
}

}  // namespace
}  // namespace credence
