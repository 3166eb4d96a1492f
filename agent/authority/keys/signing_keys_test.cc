#include "agent/authority/keys/signing_keys.h"

#include <sys/stat.h>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/authority/keys/key_files.h"
#include "agent/authority/keys/testing/key_folder.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;
using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

mode_t KeyModeOf(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mode & 0777;
}

class SigningKeysTest : public KeyFolderTest {
 protected:
  /// The records that `changes` leave in an empty datastore.
  static std::vector<SigningKeyRecord> RecordsOf(const SigningKeysUpdate& update) {
    std::vector<SigningKeyRecord> records;
    for (const Change& change : update.changes) {
      EXPECT_EQ(change.table, Table::kSigningKeys);
      SigningKeyRecord record;
      EXPECT_TRUE(change.value.has_value() && record.ParseFromString(*change.value));
      EXPECT_EQ(change.key, record.id());
      records.push_back(std::move(record));
    }
    return records;
  }

  SigningKeysUpdate Create() {
    auto created = CreateSigningKeys(options_, Start());
    CREDENCE_CHECK(created.ok());
    return *std::move(created);
  }
};

TEST_F(SigningKeysTest, ANewTrustDomainHasOneActiveKeyOfEachKind) {
  const SigningKeysUpdate created = Create();
  ASSERT_THAT(created.keys->keys, SizeIs(2));
  ASSERT_THAT(created.changes, SizeIs(2));
  for (const auto kind : {SigningKeyRecord::X509, SigningKeyRecord::JWT}) {
    const SigningKey& key = created.keys->Active(kind);
    EXPECT_EQ(key.record.created_at(), ToUnixSeconds(Start()));
    EXPECT_FALSE(key.record.tainted());
    EXPECT_EQ(key.issuer.has_value(), kind == SigningKeyRecord::X509);
    EXPECT_EQ(key.record.id(), SigningKeyId(key.key.PublicKey()));
  }
  EXPECT_EQ(created.keys->Active(SigningKeyRecord::X509).record.not_after(),
            ToUnixSeconds(Start() + std::chrono::hours(24)));
  EXPECT_EQ(created.keys->Active(SigningKeyRecord::JWT).record.not_after(),
            ToUnixSeconds(Start() + std::chrono::hours(24 * 90)));
}

TEST_F(SigningKeysTest, X509_7_TheCaCertificateIsThatOfTheTrustDomainAndBackdated) {
  const SigningKeysUpdate created = Create();
  const auto& record = created.keys->Active(SigningKeyRecord::X509).record;
  const auto facts = FactsOfCertificate(record.public_part());
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->not_before, Start() - std::chrono::seconds(10));
  EXPECT_EQ(facts->not_after, Start() + std::chrono::hours(24));
  EXPECT_THAT(record.public_part(),
              AllOf(HasSubstr("spiffe://example.org"),
                    HasSubstr("Credence authority " + record.id().substr(0, 16))));
}

TEST_F(SigningKeysTest, FolderAndFilesArePrivate) {
  const SigningKeysUpdate created = Create();
  EXPECT_EQ(KeyModeOf(options_.folder), 0700U);
  EXPECT_EQ(FileCount(), 2U);
  for (const SigningKey& key : created.keys->keys) {
    EXPECT_EQ(KeyModeOf(PathOf(key)), 0600U);
  }
}

TEST_F(SigningKeysTest, AFolderThatOthersCanChangeIsRefused) {
  std::filesystem::create_directory(options_.folder);
  ASSERT_EQ(chmod(options_.folder.c_str(), 0777), 0);
  EXPECT_THAT(CreateSigningKeys(options_, Start()),
              FailsWith(Code::kPermissionDenied, HasSubstr(options_.folder)));
}

TEST_F(SigningKeysTest, ALifeOutOfBoundsIsRefused) {
  options_.x509_life = std::chrono::seconds(59);
  EXPECT_THAT(CreateSigningKeys(options_, Start()),
              FailsWith(Code::kInvalidArgument, HasSubstr("X509")));
  options_.x509_life = std::chrono::seconds(60);
  options_.jwt_life = std::chrono::hours(24 * 3661);
  EXPECT_THAT(CreateSigningKeys(options_, Start()),
              FailsWith(Code::kInvalidArgument, HasSubstr("JWT")));
}

TEST_F(SigningKeysTest, KeysSurviveARestart) {
  for (const KeyType type : {KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048}) {
    options_.x509_key_type = type;
    options_.jwt_key_type = type;
    const SigningKeysUpdate created = Create();
    const auto loaded = LoadSigningKeys(options_, RecordsOf(created));
    ASSERT_THAT(loaded, IsOk());
    ASSERT_THAT((*loaded)->keys, SizeIs(2));
    for (std::size_t i = 0; i < 2; ++i) {
      const SigningKey& before = created.keys->keys[i];
      const SigningKey& after = (*loaded)->keys[i];
      EXPECT_EQ(after.record.SerializeAsString(), before.record.SerializeAsString());
      EXPECT_TRUE(ConstantTimeEqual(after.key.ToPkcs8(), before.key.ToPkcs8()));
      EXPECT_EQ(after.issuer.has_value(), before.issuer.has_value());
    }
  }
}

TEST_F(SigningKeysTest, AKeyFileThatIsNotAsItWasWrittenIsNamed) {
  const SigningKeysUpdate created = Create();
  const auto records = RecordsOf(created);
  const std::string path = PathOf(created.keys->Active(SigningKeyRecord::X509));
  const std::string good = *ReadFile(path, 4096);
  const std::string other = *ReadFile(PathOf(created.keys->Active(SigningKeyRecord::JWT)), 4096);
  const auto expect_loss = [&](std::string_view why) {
    EXPECT_THAT(LoadSigningKeys(options_, records),
                FailsWith(Code::kDataLoss, AllOf(HasSubstr(path), HasSubstr(std::string(why)))));
  };
  ASSERT_THAT(WriteFileAtomically(path, other, 0600), IsOk());
  expect_loss("another key");
  ASSERT_THAT(WriteFileAtomically(path, "", 0600), IsOk());
  expect_loss("damaged");
  ASSERT_THAT(WriteFileAtomically(path, good.substr(0, good.size() / 2), 0600), IsOk());
  expect_loss("damaged");
  ASSERT_THAT(WriteFileAtomically(path, std::string(70'000, 'x'), 0600), IsOk());
  expect_loss("too long");
  ASSERT_THAT(WriteFileAtomically(path, good, 0640), IsOk());
  expect_loss("0640");
  ASSERT_THAT(WriteFileAtomically(path, good, 0604), IsOk());
  expect_loss("0604");
  std::filesystem::remove(path);
  expect_loss("missing");
  std::filesystem::create_symlink(PathOf(created.keys->Active(SigningKeyRecord::JWT)), path);
  expect_loss("not a regular file");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  expect_loss("not a regular file");
  std::filesystem::remove(path);
  EXPECT_EQ(FileCount(), 1U) << "loading makes nothing";
  ASSERT_THAT(WriteFileAtomically(path, good, 0600), IsOk());
  EXPECT_THAT(LoadSigningKeys(options_, records), IsOk());
}

TEST_F(SigningKeysTest, WithoutItsFolderNothingLoads) {
  const auto records = RecordsOf(Create());
  std::filesystem::remove_all(options_.folder);
  EXPECT_THAT(LoadSigningKeys(options_, records), FailsWith(Code::kDataLoss, HasSubstr("missing")));
  EXPECT_FALSE(std::filesystem::exists(options_.folder));
}

TEST_F(SigningKeysTest, RecordsThatDoNotFitAreRefused) {
  const auto good = RecordsOf(Create());
  const auto foreign = RecordsOf(Create());
  const auto with = [&](auto change) {
    auto records = good;
    change(records);
    return LoadSigningKeys(options_, records);
  };
  ASSERT_EQ(good[0].kind(), SigningKeyRecord::X509);
  EXPECT_THAT(with([](auto& r) { r.clear(); }),
              FailsWith(Code::kDataLoss, HasSubstr("0 active X509")));
  EXPECT_THAT(with([](auto& r) { r.pop_back(); }),
              FailsWith(Code::kDataLoss, HasSubstr("0 active JWT")));
  EXPECT_THAT(with([&](auto& r) { r.push_back(foreign[0]); }),
              FailsWith(Code::kDataLoss, HasSubstr("2 active X509")));
  for (const char* id : {"", "../../etc/passwd", "ABCDEF"}) {
    EXPECT_THAT(with([&](auto& r) { r[0].set_id(id); }),
                FailsWith(Code::kDataLoss, HasSubstr("damaged")));
  }
  EXPECT_THAT(with([](auto& r) { r[0].set_kind(SigningKeyRecord::KIND_UNSPECIFIED); }),
              FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(with([](auto& r) { r[0].set_state(SigningKeyRecord::STATE_UNSPECIFIED); }),
              FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(with([](auto& r) { r[0].set_not_after(r[0].created_at()); }),
              FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(with([](auto& r) { r[0].set_public_part("x"); }),
              FailsWith(Code::kDataLoss, HasSubstr(good[0].id())));
  EXPECT_THAT(with([&](auto& r) { r[0].set_public_part(foreign[0].public_part()); }),
              FailsWith(Code::kDataLoss, HasSubstr("another key")));
  EXPECT_THAT(with([&](auto& r) { r[1].set_public_part(foreign[1].public_part()); }),
              FailsWith(Code::kDataLoss, HasSubstr(good[1].id())));
}

TEST_F(SigningKeysTest, FilesOfNoKeyAreRemovedAndOthersStay) {
  const SigningKeysUpdate stray = Create();
  const SigningKeysUpdate created = Create();
  const std::string half = PathOf(created.keys->keys[0]) + ".tmp";
  const std::string readme = options_.folder + "/README.pem";
  for (const std::string& path : {half, readme}) {
    ASSERT_THAT(WriteFileAtomically(path, "x", 0600), IsOk());
  }
  ASSERT_EQ(FileCount(), 6U);
  EXPECT_THAT(RemoveStrayKeyFiles(options_, *created.keys), IsOk());
  EXPECT_EQ(FileCount(), 3U);
  EXPECT_TRUE(std::filesystem::exists(readme));
  EXPECT_FALSE(std::filesystem::exists(PathOf(stray.keys->keys[0])));
  EXPECT_THAT(LoadSigningKeys(options_, RecordsOf(created)), IsOk());
  std::filesystem::remove_all(options_.folder);
  EXPECT_THAT(RemoveStrayKeyFiles(options_, *created.keys),
              FailsWith(Code::kNotFound, HasSubstr(options_.folder)));
}

}  // namespace
}  // namespace credence
