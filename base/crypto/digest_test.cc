#include "base/crypto/digest.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

using testing::MatchesRegex;

TEST(Sha256Test, MatchesTheKnownAnswers) {
  EXPECT_EQ(Hex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

class Sha256OfFileTest : public testing::Test {
 protected:
  Sha256OfFileTest() : fd_(open(testing::TempDir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
    EXPECT_TRUE(fd_.valid());
  }
  void Fill(const std::string& content) {
    ASSERT_EQ(write(fd_.get(), content.data(), content.size()),
              static_cast<ssize_t>(content.size()));
    ASSERT_EQ(lseek(fd_.get(), 0, SEEK_SET), 0);
  }
  UniqueFd fd_;
};

TEST_F(Sha256OfFileTest, HashesAllOfALongFile) {
  const std::string content = RandomBytes(200'001);
  Fill(content);
  EXPECT_THAT(Sha256OfFile(fd_.get(), 200'001), IsOkAndHolds(Sha256(content)));
}

TEST_F(Sha256OfFileTest, StopsAtTheLimit) {
  Fill(std::string(200'001, 'x'));
  EXPECT_THAT(Sha256OfFile(fd_.get(), 200'000), FailsWithCode(Code::kOutOfRange));
}

TEST_F(Sha256OfFileTest, ReportsAFailedRead) {
  EXPECT_THAT(Sha256OfFile(-1, 10), FailsWithCode(Code::kInternal));
}

TEST(HexTest, IsLowerCase) {
  EXPECT_EQ(Hex(std::string_view("\x00\xab\xff", 3)), "00abff");
}

struct Base64Case {
  std::string bytes;
  std::string standard;
  std::string url;
};

class Base64Test : public testing::TestWithParam<Base64Case> {};

TEST_P(Base64Test, RoundTrips) {
  EXPECT_EQ(Base64Encode(GetParam().bytes), GetParam().standard);
  EXPECT_EQ(Base64UrlEncode(GetParam().bytes), GetParam().url);
  EXPECT_THAT(Base64Decode(GetParam().standard), IsOkAndHolds(GetParam().bytes));
  EXPECT_THAT(Base64UrlDecode(GetParam().url), IsOkAndHolds(GetParam().bytes));
}

// RFC 4648 section 10, and the two bytes in which the alphabets differ.
INSTANTIATE_TEST_SUITE_P(Vectors,
                         Base64Test,
                         testing::Values(Base64Case{"", "", ""},
                                         Base64Case{"f", "Zg==", "Zg"},
                                         Base64Case{"fo", "Zm8=", "Zm8"},
                                         Base64Case{"foo", "Zm9v", "Zm9v"},
                                         Base64Case{"foob", "Zm9vYg==", "Zm9vYg"},
                                         Base64Case{"fooba", "Zm9vYmE=", "Zm9vYmE"},
                                         Base64Case{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                                         Base64Case{"\xfb\xff\xbf", "+/+/", "-_-_"}));

TEST(Base64DecodeTest, EveryByteRoundTrips) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    EXPECT_THAT(Base64Decode(Base64Encode(bytes)), IsOkAndHolds(bytes));
    EXPECT_THAT(Base64UrlDecode(Base64UrlEncode(bytes)), IsOkAndHolds(bytes));
  }
}

TEST(Base64DecodeTest, RefusesWhatIsNotTheOneSpelling) {
  for (const char* bad : {"Z",
                          "Zg",
                          "Zg=",
                          "Zg===",
                          "====",
                          "=",
                          "Zh==",
                          "Zm9=",
                          "Zm9v\n",
                          " Zm9v",
                          "Zm-v",
                          "Zg==Zg==",
                          "Z=g="}) {
    EXPECT_THAT(Base64Decode(bad), FailsWithCode(Code::kInvalidArgument)) << bad;
  }
}

TEST(Base64UrlDecodeTest, RefusesPaddingAndOtherBytes) {
  for (const char* bad : {"Z", "Zg==", "Zh", "Zm9", "Zm9v=", "Zm9v\n", "Zm+v", "Zm/v", "Zm9vY"}) {
    EXPECT_THAT(Base64UrlDecode(bad), FailsWithCode(Code::kInvalidArgument)) << bad;
  }
}

TEST(RandomTest, BytesHaveTheirSizeAndDiffer) {
  EXPECT_EQ(RandomBytes(0), "");
  EXPECT_EQ(RandomBytes(33).size(), 33U);
  EXPECT_NE(RandomBytes(16), RandomBytes(16));
}

TEST(RandomTest, UuidsAreVersionFourAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string uuid = RandomUuid();
    EXPECT_THAT(
        uuid, MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 100U);
}

}  // namespace
}  // namespace credence
