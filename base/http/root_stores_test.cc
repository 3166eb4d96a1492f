#include "base/http/root_stores.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/x509.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/core/unique_fd.h"
#include "base/http/testing/test_pki.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using testing::HasSubstr;

Task<std::vector<Result<RootStore>>> GetTogether(RootStores& stores, std::string ca_file) {
  using boost::asio::experimental::awaitable_operators::operator&&;
  const Deadline deadline = Deadline::After(milliseconds(5000));
  auto both = co_await (stores.Get(ca_file, deadline) && stores.Get(ca_file, deadline));
  auto& [first, second] = both;
  co_return std::vector<Result<RootStore>>{std::move(first), std::move(second)};
}

class RootStoresTest : public testing::Test {
 protected:
  RootStoresTest() {
    std::string pattern = testing::TempDir() + "root_stores_test_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ca_file_ = folder_ + "/ca.pem";
    Write(one_.pem());
  }
  ~RootStoresTest() override {
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    std::filesystem::remove_all(folder_);
  }

  void Write(const std::string& pem) {
    EXPECT_THAT(WriteFileAtomically(ca_file_, pem, 0644), IsOk());
  }

  Result<RootStore> Get(const std::string& ca_file, milliseconds timeout = milliseconds(5000)) {
    return RunTask(io_, stores_.Get(ca_file, Deadline::After(timeout)));
  }

  /// How many certificates there are in it; -1 if it cannot be had.
  int CountIn(const std::string& ca_file) {
    const auto roots = Get(ca_file);
    return roots.ok() ? sk_X509_OBJECT_num(X509_STORE_get0_objects(roots->get())) : -1;
  }

  TestCa one_{"one"};
  TestCa two_{"two"};
  std::string folder_;
  std::string ca_file_;
  asio::io_context io_;
  RootStores stores_{nanoseconds(0)};
};

TEST_F(RootStoresTest, UnchangedFileIsReadOnce) {
  const auto first = Get(ca_file_);
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(Get(ca_file_).value(), *first);
  EXPECT_EQ(CountIn(ca_file_), 1);
  EXPECT_EQ(stores_.readings(), 1U);
}

TEST_F(RootStoresTest, ChangedFileIsReadAgain) {
  EXPECT_EQ(CountIn(ca_file_), 1);
  Write(one_.pem() + two_.pem());
  EXPECT_EQ(CountIn(ca_file_), 2);
  EXPECT_EQ(stores_.readings(), 2U);
}

TEST_F(RootStoresTest, FileThatChangedJustNowIsNotReliedUpon) {
  RootStores careful;
  for (const std::uint64_t readings : {1U, 2U}) {
    const Deadline deadline = Deadline::After(milliseconds(5000));
    EXPECT_THAT(RunTask(io_, careful.Get(ca_file_, deadline)), IsOk());
    EXPECT_EQ(careful.readings(), readings);
  }
}

TEST_F(RootStoresTest, BrokenFileIsAnErrorUntilItIsMended) {
  for (const std::string& broken : {std::string("not PEM"),
                                    std::string(),
                                    one_.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n"}) {
    Write(one_.pem());
    EXPECT_THAT(Get(ca_file_), IsOk());
    Write(broken);
    EXPECT_THAT(Get(ca_file_),
                FailsWith(Code::kInvalidArgument, HasSubstr("ca.pem holds no usable certificate")));
    EXPECT_THAT(Get(ca_file_), FailsWithCode(Code::kInvalidArgument));
  }
  Write(two_.pem());
  EXPECT_EQ(CountIn(ca_file_), 1);
}

TEST_F(RootStoresTest, MissingFileIsAnErrorUntilItIsThere) {
  EXPECT_THAT(Get(ca_file_), IsOk());
  std::filesystem::remove(ca_file_);
  EXPECT_THAT(Get(ca_file_),
              FailsWith(Code::kInvalidArgument, HasSubstr("ca.pem cannot be read: open")));
  Write(one_.pem());
  EXPECT_EQ(CountIn(ca_file_), 1);
}

TEST_F(RootStoresTest, CallersAtTheSameTimeShareOneReading) {
  const auto both = RunTask(io_, GetTogether(stores_, ca_file_));
  EXPECT_EQ(both.at(0).value(), both.at(1).value());
  EXPECT_EQ(stores_.readings(), 1U);
}

TEST_F(RootStoresTest, SixteenFilesAreRemembered) {
  constexpr int kFiles = 17;
  for (int i = 0; i < kFiles; ++i) {
    const std::string path = fmt::format("{}/{}.pem", folder_, i);
    EXPECT_THAT(WriteFileAtomically(path, one_.pem(), 0644), IsOk());
    EXPECT_EQ(CountIn(path), 1);
    EXPECT_EQ(CountIn(folder_ + "/0.pem"), 1);
  }
  EXPECT_EQ(stores_.readings(), 17U);
  EXPECT_EQ(CountIn(folder_ + "/2.pem"), 1);
  EXPECT_EQ(stores_.readings(), 17U);
  EXPECT_EQ(CountIn(folder_ + "/1.pem"), 1);
  EXPECT_EQ(stores_.readings(), 18U);
}

TEST_F(RootStoresTest, SystemsRootsAreThoseThatTheVariablesName) {
  const std::string empty_folder = folder_ + "/empty";
  mkdir(empty_folder.c_str(), 0755);
  setenv("SSL_CERT_FILE", ca_file_.c_str(), 1);
  setenv("SSL_CERT_DIR", (folder_ + "/missing").c_str(), 1);
  EXPECT_EQ(CountIn(""), 1);
  EXPECT_EQ(CountIn(""), 1);
  EXPECT_EQ(stores_.readings(), 1U);
  Write(one_.pem() + two_.pem());
  EXPECT_EQ(CountIn(""), 2);
  EXPECT_EQ(stores_.readings(), 2U);
  setenv("SSL_CERT_DIR", fmt::format("{}/missing:{}", folder_, empty_folder).c_str(), 1);
  EXPECT_EQ(CountIn(""), 2);
  EXPECT_EQ(stores_.readings(), 3U);
  std::filesystem::remove(ca_file_);
  EXPECT_EQ(CountIn(""), 0);
}

TEST_F(RootStoresTest, FileThatHangsHoldsUpItsCallerUntilTheDeadlineOnly) {
  const std::string fifo = folder_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  setenv("SSL_CERT_FILE", fifo.c_str(), 1);
  EXPECT_THAT(Get("", milliseconds(50)), FailsWithCode(Code::kDeadlineExceeded));
  // The reader is there, so this opens at once; closed again, it ends the file.
  EXPECT_TRUE(UniqueFd(open(fifo.c_str(), O_WRONLY | O_CLOEXEC)).valid());
  EXPECT_EQ(CountIn(ca_file_), 1);
}

}  // namespace
}  // namespace credence
