#include "agent/config/resource_watch.h"

#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/testing/fake_adapter.h"
#include "agent/config/testing/temporary_folder.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

std::string Destination(const std::string& name) {
  return "apiVersion: credence/v1\nkind: Destination\nmetadata: {name: " + name +
         "}\nspec: {adapter: openbao, settings: {address: https://x}}\n";
}

/// Waits until what `store` publishes fits; false after ten seconds.
Task<Result<void>> Until(ResourceStore& store, std::function<bool()> fits) {
  std::uint64_t seen = store.status().version();
  while (!fits()) {
    seen = co_await store.status().Changed(seen);
  }
  co_return Ok();
}

class ResourceStoreTest : public testing::Test {
 protected:
  ResourceStoreTest() : clock_(FromUnixSeconds(1'800'000'000)), adapter_("openbao") {
    MakeStore({folder_.path()});
  }
  ~ResourceStoreTest() override { RunTask(io_, store_->Stop()); }

  void MakeStore(std::vector<std::string> paths) {
    store_ = std::make_unique<ResourceStore>(
        io_.get_executor(),
        pool_,
        clock_,
        ResourceStore::Options{.paths = std::move(paths), .adapters = {&adapter_}, .settle = 10ms});
  }

  bool Eventually(std::function<bool()> fits) {
    auto wait = Until(*store_, std::move(fits));
    return RunTask(io_, WithDeadline(Deadline::After(10s), std::move(wait))).ok();
  }
  bool Has(std::string_view name) const {
    return store_->resources().value()->FindDestination(name) != nullptr;
  }
  bool Broken() const { return !store_->status().value().mistakes.empty(); }

  asio::io_context io_;
  asio::thread_pool pool_{1};
  FakeClock clock_;
  FakeAdapter adapter_;
  TemporaryFolder folder_;
  std::unique_ptr<ResourceStore> store_;
};

TEST_F(ResourceStoreTest, ReadsAtStart) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  EXPECT_TRUE(Has("kv"));
  EXPECT_FALSE(Broken());
  EXPECT_EQ(store_->status().value().loaded_at, clock_.Now());
}

TEST_F(ResourceStoreTest, MistakesAtStartLeaveAnEmptySetAndAreVisible) {
  folder_.Write("kv.yaml", "kind: Gront");
  store_->Start();
  EXPECT_NE(store_->resources().value(), nullptr);
  EXPECT_TRUE(store_->resources().value()->destinations.empty());
  EXPECT_TRUE(Broken());
  EXPECT_FALSE(store_->status().value().loaded_at.has_value());
}

TEST_F(ResourceStoreTest, AChangeIsReadABreakKeepsTheLastGoodSetAndARepairIsRead) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  folder_.Write("kv.yaml", Destination("kv2"));
  EXPECT_TRUE(Eventually([&] { return Has("kv2") && !Has("kv"); }));
  folder_.Write("kv.yaml", Destination("kv3") + "extra: 1\n");
  EXPECT_TRUE(Eventually([&] { return Broken(); }));
  EXPECT_TRUE(Has("kv2"));
  EXPECT_THAT(store_->status().value().mistakes.at(0).ToString(),
              testing::EndsWith("kv.yaml:5:1: Destination kv3: extra: unknown key"));
  clock_.Advance(1s);
  folder_.Write("kv.yaml", Destination("kv3"));
  EXPECT_TRUE(Eventually([&] { return !Broken() && Has("kv3"); }));
  EXPECT_EQ(store_->status().value().loaded_at, clock_.Now());
}

TEST_F(ResourceStoreTest, ARepairToTheSetInUseClearsTheMistakes) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  folder_.Write("bad.yaml", "a: [");
  EXPECT_TRUE(Eventually([&] { return Broken(); }));
  std::filesystem::remove(folder_ / "bad.yaml");
  EXPECT_TRUE(Eventually([&] { return !Broken(); }));
  EXPECT_TRUE(Has("kv"));
}

TEST_F(ResourceStoreTest, ARenameOverTheFileIsSeen) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  const std::string fresh = folder_.Write("kv.new", Destination("kv2"));
  std::filesystem::rename(fresh, folder_ / "kv.yaml");
  EXPECT_TRUE(Eventually([&] { return Has("kv2"); }));
}

TEST_F(ResourceStoreTest, AModeThatOpensTheFileToOthersIsSeen) {
  const std::string file = folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  ASSERT_EQ(chmod(file.c_str(), 0666), 0);
  EXPECT_TRUE(Eventually([&] { return Broken(); }));
  EXPECT_TRUE(Has("kv"));
  ASSERT_EQ(chmod(file.c_str(), 0600), 0);
  EXPECT_TRUE(Eventually([&] { return !Broken(); }));
}

TEST_F(ResourceStoreTest, ALinkThatIsSwappedIsSeen) {
  // As Kubernetes does for a mounted ConfigMap.
  std::filesystem::create_directory(folder_ / "..1");
  std::filesystem::create_directory(folder_ / "..2");
  folder_.Write("..1/kv.yaml", Destination("kv"));
  folder_.Write("..2/kv.yaml", Destination("kv2"));
  std::filesystem::create_symlink("..1", folder_ / "..data");
  std::filesystem::create_symlink("..data/kv.yaml", folder_ / "kv.yaml");
  store_->Start();
  EXPECT_TRUE(Has("kv"));
  std::filesystem::create_symlink("..2", folder_ / "..data_tmp");
  std::filesystem::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_TRUE(Eventually([&] { return Has("kv2"); }));
}

TEST_F(ResourceStoreTest, AFileOutsideThatALinkLeadsToIsFollowed) {
  const TemporaryFolder outside;
  outside.Write("kv.yaml", Destination("kv"));
  std::filesystem::create_symlink(outside / "kv.yaml", folder_ / "kv.yaml");
  store_->Start();
  EXPECT_TRUE(Has("kv"));
  outside.Write("kv.yaml", Destination("kv2"));
  EXPECT_TRUE(Eventually([&] { return Has("kv2"); }));
}

TEST_F(ResourceStoreTest, AFolderThatComesLaterIsSeen) {
  const std::string later = folder_ / "a/b";
  MakeStore({later + "/"});
  store_->Start();
  EXPECT_TRUE(Broken());
  std::filesystem::create_directories(later);
  EXPECT_TRUE(Eventually([&] { return !Broken(); }));
  folder_.Write("a/b/kv.yaml", Destination("kv"));
  EXPECT_TRUE(Eventually([&] { return Has("kv"); }));
}

TEST_F(ResourceStoreTest, ASingleFileIsFollowedToo) {
  MakeStore({folder_.Write("kv.yaml", Destination("kv"))});
  store_->Start();
  std::filesystem::remove(folder_ / "kv.yaml");
  EXPECT_TRUE(Eventually([&] { return Broken(); }));
  folder_.Write("kv.yaml", Destination("kv2"));
  EXPECT_TRUE(Eventually([&] { return Has("kv2"); }));
}

TEST_F(ResourceStoreTest, ReloadPublishesEvenAnEqualSet) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  const SharedResources before = store_->resources().value();
  store_->Reload();
  EXPECT_TRUE(Eventually([&] { return store_->resources().value() != before; }));
  EXPECT_TRUE(Has("kv"));
}

TEST_F(ResourceStoreTest, AnEqualSetAfterAChangeIsNotPublished) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  const std::uint64_t version = store_->resources().version();
  const std::uint64_t readings = store_->status().version();
  folder_.Write("kv.yaml", "# a comment\n" + Destination("kv"));
  EXPECT_TRUE(Eventually([&] { return store_->status().version() > readings; }));
  EXPECT_EQ(store_->resources().version(), version);
}

TEST_F(ResourceStoreTest, StopsTwiceAndWithoutStart) {
  store_->Start();
  RunTask(io_, store_->Stop());
  RunTask(io_, store_->Stop());
  MakeStore({});
  RunTask(io_, store_->Stop());
}

TEST_F(ResourceStoreTest, StopsInTheMiddleOfAReading) {
  folder_.Write("kv.yaml", Destination("kv"));
  store_->Start();
  store_->Reload();
  io_.restart();
  io_.poll();
  RunTask(io_, store_->Stop());
}

}  // namespace
}  // namespace credence
