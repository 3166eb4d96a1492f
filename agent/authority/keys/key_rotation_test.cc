#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/authority/keys/signing_keys.h"
#include "agent/authority/keys/testing/key_folder.h"
#include "base/core/testing/file_size_limit.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

/// Keeps the keys as the authority does: what is stored is what the changes say. Times count from
/// the first keys; names of X509 keys are letters in the order in which they were made.
class KeyRotationTest : public KeyFolderTest {
 protected:
  KeyRotationTest() {
    // Out of the way of the X509 keys.
    options_.jwt_life = hours(24 * 3650);
    auto created = CreateSigningKeys(options_, Start());
    CREDENCE_CHECK(created.ok());
    Store(*created);
  }

  void Store(const SigningKeysUpdate& update) {
    for (const Change& change : update.changes) {
      if (change.value.has_value()) {
        stored_[change.key] = *change.value;
      } else {
        stored_.erase(change.key);
      }
    }
    keys_ = update.keys;
    EXPECT_EQ(stored_.size(), keys_->keys.size());
    for (const SigningKey& key : keys_->keys) {
      EXPECT_EQ(stored_[key.record.id()], key.record.SerializeAsString());
      if (key.record.kind() == SigningKeyRecord::X509) {
        names_.emplace(key.record.id(), static_cast<char>('A' + names_.size()));
      }
    }
    EXPECT_THAT(RemoveStrayKeyFiles(options_, *keys_), IsOk());
    EXPECT_EQ(FileCount(), keys_->keys.size());
  }

  /// Advances at `at` after the start and returns States(). Fills next_.
  std::string At(seconds at) {
    const auto due = AdvanceSigningKeys(options_, keys_, Start() + at);
    EXPECT_THAT(due, IsOk());
    changed_ = due->update.has_value();
    if (due->update.has_value()) {
      Store(*due->update);
    }
    EXPECT_GT(due->next, Start() + at);
    next_ = std::chrono::floor<seconds>(due->next - Start());
    return States();
  }

  /// The X509 keys by name with the first letter of their state in small: "A:a B:p"; "!" after a
  /// tainted one.
  std::string States() const {
    std::map<char, std::string> states;
    for (const SigningKey& key : keys_->keys) {
      if (key.record.kind() == SigningKeyRecord::X509) {
        states[names_.at(key.record.id())] =
            std::string(key.record.state() == SigningKeyRecord::PREPARED ? "p"
                        : key.record.state() == SigningKeyRecord::ACTIVE ? "a"
                                                                         : "o") +
            (key.record.tainted() ? "!" : "");
      }
    }
    std::string text;
    for (const auto& [name, state] : states) {
      text += fmt::format("{}{}:{}", text.empty() ? "" : " ", name, state);
    }
    return text;
  }

  /// As the process finds it after a restart.
  void Restart() {
    std::vector<SigningKeyRecord> records;
    for (const auto& [id, value] : stored_) {
      ASSERT_TRUE(records.emplace_back().ParseFromString(value));
    }
    auto loaded = LoadSigningKeys(options_, records);
    ASSERT_THAT(loaded, IsOk());
    keys_ = *loaded;
  }

  Result<SigningKeysUpdate> Rotate(bool taint, seconds at) {
    return RotateSigningKey(options_, keys_, SigningKeyRecord::X509, taint, Start() + at);
  }

  std::map<std::string, std::string> stored_;
  std::map<std::string, char> names_;
  SharedSigningKeys keys_;
  bool changed_ = false;
  seconds next_{};
};

TEST_F(KeyRotationTest, KeysArePreparedActivatedAndDroppedOnSchedule) {
  EXPECT_EQ(At(seconds(0)), "A:a");
  EXPECT_FALSE(changed_);
  EXPECT_EQ(next_, hours(12));
  EXPECT_EQ(At(hours(12) - seconds(1)), "A:a");
  EXPECT_EQ(At(hours(12)), "A:a B:p");
  EXPECT_EQ(next_, hours(20));
  EXPECT_EQ(At(hours(20) - seconds(1)), "A:a B:p");
  EXPECT_FALSE(changed_);
  EXPECT_EQ(At(hours(20)), "A:o B:a");
  EXPECT_EQ(next_, hours(24));
  EXPECT_EQ(At(hours(24)), "A:o B:a C:p") << "B is half through";
  EXPECT_EQ(next_, hours(32));
  EXPECT_EQ(At(hours(32)), "A:o B:o C:a");
  EXPECT_EQ(At(hours(36)), "A:o B:o C:a D:p");
  EXPECT_EQ(At(hours(48) - seconds(1)), "A:o B:o C:o D:a");
  EXPECT_EQ(At(hours(48)), "B:o C:o D:a E:p") << "A ended a day ago";
}

TEST_F(KeyRotationTest, AskedWhenItSaysItNeverRunsOutOfKeys) {
  seconds now{0};
  At(now);
  for (int i = 0; i < 60; ++i) {
    now = next_;
    At(now);
    const SigningKey& active = keys_->Active(SigningKeyRecord::X509);
    EXPECT_GE(FromUnixSeconds(active.record.not_after()) - (Start() + now), hours(4));
    EXPECT_LE(keys_->keys.size(), 6U);
  }
  EXPECT_GT(now, hours(24 * 7));
}

TEST_F(KeyRotationTest, AfterALongSleepTheKeyThatHasEndedIsReplacedAtOnce) {
  At(hours(12));
  EXPECT_EQ(At(hours(24 * 30)), "A:o B:o C:a");
  EXPECT_EQ(next_, hours(24 * 30 + 12));
}

TEST_F(KeyRotationTest, AKeyMadeLateIsPublishedBeforeItSigns) {
  EXPECT_EQ(At(hours(22)), "A:a B:p") << "the first look since the start";
  EXPECT_EQ(next_, hours(22) + minutes(1));
  EXPECT_EQ(At(hours(22) + seconds(59)), "A:a B:p");
  EXPECT_EQ(At(hours(22) + minutes(1)), "A:o B:a");
}

TEST_F(KeyRotationTest, AShorterLifeIsNotHeldUpByTheLongOne) {
  options_.x509_life = hours(1);
  EXPECT_EQ(At(hours(12)), "A:a B:p");
  EXPECT_EQ(next_, hours(12) + minutes(30));
  EXPECT_EQ(At(next_), "A:o B:a C:p");
  EXPECT_EQ(At(next_), "A:o B:o C:a") << "after 20 minutes";
}

TEST_F(KeyRotationTest, AYearAheadAndBackLosesNothing) {
  At(hours(12));
  EXPECT_EQ(At(hours(20)), "A:o B:a");
  const hours year(24 * 365);
  EXPECT_EQ(At(year), "A:o B:o C:a");
  EXPECT_EQ(At(year + hours(12)), "A:o B:o C:a D:p");
  EXPECT_EQ(At(year + hours(20)), "A:o B:o C:o D:a");
  EXPECT_EQ(At(hours(20) + minutes(1)), "A:o B:a C:o D:o") << "B signs again";
  EXPECT_EQ(At(hours(24)), "A:o B:a C:o D:o E:p");
  EXPECT_EQ(At(hours(32)), "A:o B:o C:o D:o E:a");
  EXPECT_EQ(At(hours(36)), "A:o B:o C:o D:o E:a F:p");
  EXPECT_EQ(At(hours(48) - seconds(1)), "A:o B:o C:o D:o E:o F:a");
  EXPECT_EQ(At(hours(48)), "B:o C:o D:o E:o F:a G:p") << "a day since A's end, on the right clock";
  // Once more to the same wrong time: what was made then is still fit. B and E had ended before.
  EXPECT_EQ(At(year + hours(21)), "C:o D:a F:o G:o");
}

TEST_F(KeyRotationTest, AWrongClockThatLastsIsTheTime) {
  const hours year(24 * 365);
  EXPECT_EQ(At(year), "A:o B:a");
  EXPECT_EQ(At(year + kKeptAfterEnd - seconds(1)), "A:o B:a C:p");
  EXPECT_EQ(At(year + kKeptAfterEnd), "B:o C:a");
}

TEST_F(KeyRotationTest, ARestartStartsTheDayAfterTheEndAnew) {
  const hours month(24 * 30);
  EXPECT_EQ(At(month), "A:o B:a");
  At(month + hours(12));
  Restart();
  EXPECT_EQ(At(month + hours(23)), "A:o B:o C:a");
  EXPECT_EQ(At(month + hours(46)).substr(0, 3), "A:o");
  EXPECT_THAT(At(month + hours(47)), testing::Not(HasSubstr("A:")));
}

TEST_F(KeyRotationTest, BackBeforeTheFirstKeyANewOneIsMade) {
  EXPECT_EQ(At(seconds(-10)), "A:a") << "certificates are backdated by as much";
  EXPECT_EQ(At(-hours(24)), "A:o B:a");
  EXPECT_EQ(At(-hours(24) + minutes(1)), "A:o B:a");
  EXPECT_FALSE(changed_);
  EXPECT_EQ(At(-hours(12)), "A:o B:a C:p");
  EXPECT_EQ(At(-hours(4)), "A:o B:o C:a");
  EXPECT_EQ(At(seconds(0)), "A:o B:o C:a D:p");
}

TEST_F(KeyRotationTest, AClockThatFlapsMakesAFewKeysAndNoMore) {
  for (int i = 0; i < 20; ++i) {
    At(minutes(i));
    At(hours(24 * 365) + minutes(i));
  }
  EXPECT_EQ(At(minutes(20)), "A:a B:o");
}

TEST_F(KeyRotationTest, AnOperatorsRotationUsesWhatIsPrepared) {
  At(hours(12));
  const auto rotated = Rotate(false, hours(13));
  ASSERT_THAT(rotated, IsOk());
  Store(*rotated);
  EXPECT_EQ(States(), "A:o B:a");
  EXPECT_EQ(At(hours(13)), "A:o B:a");
  EXPECT_FALSE(changed_);
}

TEST_F(KeyRotationTest, AnOperatorsRotationMakesWhatIsMissingAndTaints) {
  const auto rotated = Rotate(true, hours(1));
  ASSERT_THAT(rotated, IsOk());
  Store(*rotated);
  EXPECT_EQ(States(), "A:o! B:a");
  Restart();
  EXPECT_EQ(States(), "A:o! B:a");
  EXPECT_EQ(At(minutes(59)), "A:o! B:o C:a") << "a tainted key never signs again";
}

TEST_F(KeyRotationTest, APreparedKeyThatHasEndedIsNotRotatedTo) {
  At(hours(12));
  const auto rotated = Rotate(false, hours(100));
  ASSERT_THAT(rotated, IsOk());
  Store(*rotated);
  EXPECT_EQ(States(), "A:o B:o C:a");
}

TEST_F(KeyRotationTest, PreparingIsDoneOnce) {
  const auto prepare = [&] {
    return PrepareSigningKey(options_, keys_, SigningKeyRecord::X509, Start() + hours(1));
  };
  auto prepared = prepare();
  ASSERT_THAT(prepared, IsOk());
  ASSERT_TRUE(prepared->has_value());
  Store(**prepared);
  EXPECT_EQ(States(), "A:a B:p");
  prepared = prepare();
  ASSERT_THAT(prepared, IsOk());
  EXPECT_FALSE(prepared->has_value());
  EXPECT_EQ(At(hours(12)), "A:a B:p") << "waits for A, and no longer than half of its own life";
  EXPECT_EQ(next_, hours(13));
}

TEST_F(KeyRotationTest, APreparedKeyIsActivatedAndTheOneBeforeTaintedOnce) {
  At(hours(12));
  const std::string before = keys_->Active(SigningKeyRecord::X509).record.id();
  ASSERT_NE(keys_->Prepared(SigningKeyRecord::X509), nullptr);
  EXPECT_EQ(keys_->Prepared(SigningKeyRecord::JWT), nullptr);
  const SigningKey prepared = *keys_->Prepared(SigningKeyRecord::X509);
  EXPECT_EQ(KnownEverywhereAt(prepared), Start() + hours(12) + minutes(1));
  EXPECT_FALSE(ActivatePreparedKey(keys_, "none", "").has_value());
  const auto activated = ActivatePreparedKey(keys_, prepared.record.id(), "");
  ASSERT_TRUE(activated.has_value());
  Store(*activated);
  EXPECT_EQ(States(), "A:o B:a");
  const auto tainted = ActivatePreparedKey(keys_, prepared.record.id(), before);
  ASSERT_TRUE(tainted.has_value());
  Store(*tainted);
  EXPECT_EQ(States(), "A:o! B:a") << "it was activated otherwise, and is tainted all the same";
  EXPECT_FALSE(ActivatePreparedKey(keys_, prepared.record.id(), before).has_value());
}

TEST_F(KeyRotationTest, KindsRotateApart) {
  const std::string jwt = keys_->Active(SigningKeyRecord::JWT).record.id();
  const auto rotated =
      RotateSigningKey(options_, keys_, SigningKeyRecord::JWT, true, Start() + hours(1));
  ASSERT_THAT(rotated, IsOk());
  Store(*rotated);
  EXPECT_EQ(States(), "A:a");
  EXPECT_NE(keys_->Active(SigningKeyRecord::JWT).record.id(), jwt);
  EXPECT_EQ(keys_->Active(SigningKeyRecord::JWT).key.PublicKey(),
            keys_->Active(SigningKeyRecord::JWT).record.public_part());
}

TEST_F(KeyRotationTest, ThereIsALimitToRotations) {
  SigningKeySet many;
  for (std::size_t i = 0; i < kMaxSigningKeys; ++i) {
    many.keys.push_back(keys_->Active(SigningKeyRecord::X509));
    many.keys.back().record.set_id(fmt::format("{:040x}", i));
    many.keys.back().record.set_state(i == 0 ? SigningKeyRecord::ACTIVE : SigningKeyRecord::OLD);
  }
  many.keys.push_back(keys_->Active(SigningKeyRecord::JWT));
  EXPECT_THAT(RotateSigningKey(options_,
                               std::make_shared<const SigningKeySet>(many),
                               SigningKeyRecord::X509,
                               false,
                               Start()),
              FailsWith(Code::kResourceExhausted, HasSubstr("256 X509 keys")));
}

TEST_F(KeyRotationTest, WithoutItsFolderARotationFailsAndChangesNothing) {
  std::filesystem::remove_all(options_.folder);
  EXPECT_THAT(Rotate(false, hours(1)), FailsWith(Code::kNotFound, HasSubstr(options_.folder)));
  EXPECT_THAT(AdvanceSigningKeys(options_, keys_, Start() + hours(12)),
              FailsWithCode(Code::kNotFound));
  EXPECT_EQ(States(), "A:a");
}

TEST_F(KeyRotationTest, OnAFullDiskARotationFailsAndLeavesNoFile) {
  const std::size_t files = FileCount();
  {
    const FileSizeLimit full(100);
    EXPECT_THAT(Rotate(false, hours(1)),
                FailsWith(Code::kResourceExhausted, HasSubstr(options_.folder)));
    EXPECT_THAT(AdvanceSigningKeys(options_, keys_, Start() + hours(12)),
                FailsWithCode(Code::kResourceExhausted));
  }
  EXPECT_EQ(States(), "A:a");
  EXPECT_EQ(FileCount(), files);
  EXPECT_THAT(Rotate(false, hours(1)), IsOk());
}

}  // namespace
}  // namespace credence
