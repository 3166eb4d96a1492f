#include "base/core/secret_bytes.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/crypto.h>

namespace credence {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);
static_assert(std::is_nothrow_move_assignable_v<SecretBytes>);
static_assert(!std::is_convertible_v<SecretBytes, std::string>);
static_assert(!std::is_convertible_v<SecretBytes, std::string_view>);
static_assert(!fmt::is_formattable<SecretBytes>::value);

constexpr std::string_view kSecret = "correct horse battery staple, at length";

bool AllZero(const std::uint8_t* data, std::size_t size) {
  return std::all_of(data, data + size, [](std::uint8_t byte) { return byte == 0; });
}

/// Sets up the secure heap for as long as a test runs.
class SecureHeap {
 public:
  SecureHeap() {
    EXPECT_EQ(ProtectProcessMemory(), "");
    rlimit core{};
    EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
    EXPECT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
    EXPECT_EQ(core.rlim_max, 0U);
    // Leak checkers attach to the process.
    prctl(PR_SET_DUMPABLE, 1);
  }
  ~SecureHeap() {
    // Fails while anything is still allocated there: a leak.
    EXPECT_EQ(CRYPTO_secure_malloc_done(), 1);
  }
  SecureHeap(const SecureHeap&) = delete;
  SecureHeap& operator=(const SecureHeap&) = delete;
};

/// Runs without and with the secure heap: which memory is used must not matter to anyone.
class SecretBytesTest : public testing::TestWithParam<bool> {
 protected:
  SecretBytesTest() {
    if (GetParam()) {
      heap_.emplace();
    }
  }

 private:
  std::optional<SecureHeap> heap_;
};

TEST_P(SecretBytesTest, HoldsWhatWasCopied) {
  const SecretBytes secret = SecretBytes::CopyOf(kSecret);
  EXPECT_EQ(secret.Reveal(), kSecret);
  EXPECT_EQ(secret.size(), kSecret.size());
  EXPECT_EQ(secret.bytes().size(), kSecret.size());
  EXPECT_EQ(CRYPTO_secure_allocated(secret.data()) == 1, GetParam());
}

TEST_P(SecretBytesTest, StartsZeroed) {
  const SecretBytes secret(100);
  EXPECT_TRUE(AllZero(secret.data(), 100));
}

TEST_P(SecretBytesTest, EmptyOnesAreFine) {
  const SecretBytes none;
  const SecretBytes copy = SecretBytes::CopyOf("");
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(copy.Reveal(), "");
  EXPECT_TRUE(ConstantTimeEqual(none, copy));
  EXPECT_TRUE(none.Clone().empty());
}

TEST_P(SecretBytesTest, MovingLeavesNothingBehind) {
  SecretBytes first = SecretBytes::CopyOf(kSecret);
  const std::uint8_t* at = first.data();
  SecretBytes second(std::move(first));
  EXPECT_EQ(first.data(), nullptr);  // NOLINT(bugprone-use-after-move): what is left is the point.
  EXPECT_TRUE(first.empty());        // NOLINT(bugprone-use-after-move): as above.
  EXPECT_EQ(second.data(), at);
  SecretBytes third = SecretBytes::CopyOf("other");
  third = std::move(second);
  EXPECT_EQ(third.Reveal(), kSecret);
  EXPECT_TRUE(second.empty());  // NOLINT(bugprone-use-after-move): as above.
}

TEST_P(SecretBytesTest, CuttingWipesTheRest) {
  SecretBytes secret = SecretBytes::CopyOf(kSecret);
  secret.Truncate(7);
  EXPECT_EQ(secret.Reveal(), "correct");
  EXPECT_TRUE(AllZero(secret.data() + 7, kSecret.size() - 7));
  secret.Truncate(7);
  EXPECT_EQ(secret.Reveal(), "correct");
  secret.Truncate(0);
  EXPECT_TRUE(secret.empty());
}

TEST_P(SecretBytesTest, ClonesAreIndependent) {
  SecretBytes secret = SecretBytes::CopyOf(kSecret);
  const SecretBytes clone = secret.Clone();
  secret.data()[0] = 'X';
  EXPECT_EQ(clone.Reveal(), kSecret);
  EXPECT_FALSE(ConstantTimeEqual(secret, clone));
}

TEST_P(SecretBytesTest, EqualityIsOfContentAndSize) {
  const SecretBytes secret = SecretBytes::CopyOf("abc");
  EXPECT_TRUE(ConstantTimeEqual(secret, SecretBytes::CopyOf("abc")));
  EXPECT_FALSE(ConstantTimeEqual(secret, SecretBytes::CopyOf("abd")));
  EXPECT_FALSE(ConstantTimeEqual(secret, SecretBytes::CopyOf("ab")));
  EXPECT_FALSE(ConstantTimeEqual(secret, SecretBytes::CopyOf(std::string_view("abc\0", 4))));
}

INSTANTIATE_TEST_SUITE_P(Memory,
                         SecretBytesTest,
                         testing::Values(false, true),
                         [](const auto& test) { return test.param ? "SecureHeap" : "OwnMapping"; });

TEST(SecretBytesHeapTest, IsWipedWhenDestroyedAndWhenAssignedOver) {
  const SecureHeap heap;
  // The secure heap stays mapped, so what a freed block holds can be looked at.
  const std::uint8_t* at = nullptr;
  {
    const SecretBytes secret = SecretBytes::CopyOf(kSecret);
    at = secret.data();
  }
  // The allocator links free blocks through their first bytes.
  constexpr std::size_t kLinks = 2 * sizeof(void*);
  EXPECT_TRUE(AllZero(at + kLinks, kSecret.size() - kLinks));

  SecretBytes assigned = SecretBytes::CopyOf(kSecret);
  at = assigned.data();
  assigned = SecretBytes();
  EXPECT_TRUE(AllZero(at + kLinks, kSecret.size() - kLinks));
}

TEST(SecretBytesHeapTest, OutgrowingTheHeapStillWorks) {
  const SecureHeap heap;
  std::vector<SecretBytes> many;
  for (int i = 0; i < 5; ++i) {
    many.emplace_back(std::size_t{8} << 20);
    many.back().data()[(std::size_t{8} << 20) - 1] = 1;
  }
  EXPECT_EQ(CRYPTO_secure_allocated(many.back().data()), 0);
}

TEST(SecretBytesHeapTest, HalfOfItStaysForKeysHoweverManySmallOnesThereAre) {
  const SecureHeap heap;
  std::vector<SecretBytes> many;
  for (int i = 0; i < 5'000; ++i) {
    many.emplace_back(std::size_t{4} << 10);
  }
  EXPECT_EQ(CRYPTO_secure_allocated(many.back().data()), 0);
  void* const keys = OPENSSL_secure_malloc(std::size_t{4} << 20);
  EXPECT_NE(keys, nullptr);
  OPENSSL_secure_free(keys);
}

TEST(SecretBytesDeathTest, GrowingByTruncateTerminates) {
  SecretBytes secret = SecretBytes::CopyOf("abc");
  EXPECT_DEATH(secret.Truncate(4), "size");
}

TEST(WipeTest, ClearsAStringInPlace) {
  std::string text(kSecret);
  const char* at = text.data();
  WipeString(text);
  EXPECT_TRUE(text.empty());
  // The buffer is still the string's own.
  text.resize(1);
  EXPECT_EQ(text.data(), at);
  std::string scoped(kSecret);
  {
    const WipeOnExit wipe(scoped);
  }
  EXPECT_TRUE(scoped.empty());
}

}  // namespace
}  // namespace credence
