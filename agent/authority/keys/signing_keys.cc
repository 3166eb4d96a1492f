#include "agent/authority/keys/signing_keys.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/keys/key_files.h"
#include "agent/authority/keys/key_making.h"
#include "base/core/safe_path.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;
using Keys = std::vector<SigningKey>;
using std::chrono::seconds;

constexpr std::array<SigningKeyRecord::Kind, 2> kKinds = {SigningKeyRecord::X509,
                                                          SigningKeyRecord::JWT};
/// How long a key is published before it signs, unless the one before has failed.
constexpr seconds kLongestSettling{60};

WallTime StartOf(const SigningKey& key) {
  return FromUnixSeconds(key.record.created_at());
}
WallTime EndOf(const SigningKey& key) {
  return FromUnixSeconds(key.record.not_after());
}
seconds LifeOf(const SigningKey& key) {
  return std::chrono::floor<seconds>(EndOf(key) - StartOf(key));
}
WallTime HalfOf(const SigningKey& key) {
  return StartOf(key) + LifeOf(key) / 2;
}
WallTime LastSixthOf(const SigningKey& key) {
  return EndOf(key) - LifeOf(key) / 6;
}
bool Works(const SigningKey& key, WallTime now) {
  return !key.record.tainted() && StartOf(key) - kBackdate <= now && now < EndOf(key);
}
bool IsFit(const SigningKey& key, WallTime now) {
  return Works(key, now) && now < LastSixthOf(key);
}

/// The first key of that kind and state; nullptr if there is none.
SigningKey* Find(Keys& keys, SigningKeyRecord::Kind kind, SigningKeyRecord::State state) {
  const auto found = std::ranges::find_if(keys, [&](const SigningKey& key) {
    return key.record.kind() == kind && key.record.state() == state;
  });
  return found == keys.end() ? nullptr : &*found;
}

/// Adds a PREPARED key. The pointer holds until the next change of `keys`.
Result<SigningKey*> AddKey(const SigningKeyOptions& options,
                           SigningKeyRecord::Kind kind,
                           WallTime now,
                           Keys& keys) {
  const auto count = static_cast<std::size_t>(std::ranges::count_if(
      keys, [kind](const SigningKey& key) { return key.record.kind() == kind; }));
  if (count >= kMaxSigningKeys) {
    return Error(Code::kResourceExhausted,
                 fmt::format("there are {} {} keys already: no more before old ones have ended",
                             count,
                             KindName(kind)));
  }
  auto made = MakeSigningKey(options, kind, now);
  if (!made.ok()) {
    return std::move(made).error();
  }
  keys.push_back(*std::move(made));
  return &keys.back();
}

/// The PREPARED key, if it is fit; one that is not will never sign, and becomes OLD.
SigningKey* FitPrepared(SigningKeyRecord::Kind kind, WallTime now, Keys& keys) {
  SigningKey* prepared = Find(keys, kind, SigningKeyRecord::PREPARED);
  if (prepared != nullptr && !IsFit(*prepared, now)) {
    prepared->record.set_state(SigningKeyRecord::OLD);
    return FitPrepared(kind, now, keys);
  }
  return prepared;
}

/// The OLD key that a wrong clock has put aside and that lasts longest; nullptr if none is fit.
SigningKey* FitOld(SigningKeyRecord::Kind kind, WallTime now, Keys& keys) {
  SigningKey* best = nullptr;
  for (SigningKey& key : keys) {
    if (key.record.kind() == kind && key.record.state() == SigningKeyRecord::OLD &&
        IsFit(key, now) && (best == nullptr || EndOf(*best) < EndOf(key))) {
      best = &key;
    }
  }
  return best;
}

void Activate(SigningKey& key, Keys& keys) {
  Find(keys, key.record.kind(), SigningKeyRecord::ACTIVE)->record.set_state(SigningKeyRecord::OLD);
  key.record.set_state(SigningKeyRecord::ACTIVE);
}

/// When the PREPARED key is to take over. One that was made with a shorter life than the active
/// key's does not wait until it is old itself.
WallTime TakeOverAt(const SigningKey& active, const SigningKey& prepared) {
  return std::max(KnownEverywhereAt(prepared), std::min(LastSixthOf(active), HalfOf(prepared)));
}

/// Sees to it that a fit key is ACTIVE, or will be as soon as it is known everywhere.
Result<void> ReplaceActive(const SigningKeyOptions& options,
                           SigningKeyRecord::Kind kind,
                           WallTime now,
                           Keys& keys) {
  const SigningKey& active = *Find(keys, kind, SigningKeyRecord::ACTIVE);
  SigningKey* successor = FitPrepared(kind, now, keys);
  if (IsFit(active, now)) {
    if (successor != nullptr && TakeOverAt(active, *successor) <= now) {
      Activate(*successor, keys);
    }
    return Ok();
  }
  const bool works = Works(active, now);
  if (successor == nullptr) {
    successor = FitOld(kind, now, keys);
  }
  if (successor == nullptr) {
    const auto made = AddKey(options, kind, now, keys);
    if (!made.ok()) {
      return made.error();
    }
    successor = *made;
  }
  const bool is_new = successor->record.state() == SigningKeyRecord::PREPARED;
  if (!works || !is_new || KnownEverywhereAt(*successor) <= now) {
    Activate(*successor, keys);
  }
  return Ok();
}

/// Marks OLD keys that have ended and drops those whose mark is kKeptAfterEnd old.
void DropEnded(WallTime now, Keys& keys) {
  for (SigningKey& key : keys) {
    if (key.record.state() != SigningKeyRecord::OLD || now < EndOf(key)) {
      // Still good, or good again.
      key.seen_ended.reset();
    } else if (!key.seen_ended.has_value() || now < *key.seen_ended) {
      key.seen_ended = now;
    }
  }
  std::erase_if(keys, [now](const SigningKey& key) {
    return key.seen_ended.has_value() && *key.seen_ended + kKeptAfterEnd <= now;
  });
}

/// The next time at which something is due.
WallTime NextOf(Keys& keys) {
  WallTime next = WallTime::max();
  for (const SigningKeyRecord::Kind kind : kKinds) {
    const SigningKey& active = *Find(keys, kind, SigningKeyRecord::ACTIVE);
    const SigningKey* prepared = Find(keys, kind, SigningKeyRecord::PREPARED);
    next = std::min(next, prepared == nullptr ? HalfOf(active) : TakeOverAt(active, *prepared));
  }
  for (const SigningKey& key : keys) {
    if (key.record.state() == SigningKeyRecord::OLD) {
      next =
          std::min(next, key.seen_ended.has_value() ? *key.seen_ended + kKeptAfterEnd : EndOf(key));
    }
  }
  return next;
}

bool SameKey(const SigningKey& a, const SigningKey& b) {
  return a.record.SerializeAsString() == b.record.SerializeAsString();
}

const SigningKey* FindId(const Keys& keys, const std::string& id) {
  const auto found =
      std::ranges::find_if(keys, [&](const SigningKey& key) { return key.record.id() == id; });
  return found == keys.end() ? nullptr : &*found;
}

SharedSigningKeys Publish(Keys keys) {
  std::ranges::sort(keys, {}, [](const SigningKey& key) {
    return std::tuple(key.record.kind(), key.record.created_at(), key.record.id());
  });
  return std::make_shared<const SigningKeySet>(SigningKeySet{std::move(keys)});
}

/// `keys` as a set, with what has to be written where `before` is stored.
SigningKeysUpdate UpdateOf(const Keys& before, Keys keys) {
  SigningKeysUpdate update;
  for (const SigningKey& key : keys) {
    const SigningKey* known = FindId(before, key.record.id());
    if (known == nullptr || !SameKey(*known, key)) {
      update.changes.push_back(
          {Table::kSigningKeys, key.record.id(), key.record.SerializeAsString()});
    }
  }
  for (const SigningKey& key : before) {
    if (FindId(keys, key.record.id()) == nullptr) {
      update.changes.push_back({Table::kSigningKeys, key.record.id(), std::nullopt});
    }
  }
  update.keys = Publish(std::move(keys));
  return update;
}

bool SameMarks(const Keys& before, const Keys& keys) {
  return std::ranges::all_of(keys, [&](const SigningKey& key) {
    const SigningKey* known = FindId(before, key.record.id());
    return known != nullptr && known->seen_ended == key.seen_ended;
  });
}

}  // namespace

const SigningKey& SigningKeySet::Active(SigningKeyRecord::Kind kind) const {
  const auto found = std::ranges::find_if(keys, [kind](const SigningKey& key) {
    return key.record.kind() == kind && key.record.state() == SigningKeyRecord::ACTIVE;
  });
  CREDENCE_CHECK(found != keys.end());
  return *found;
}

const SigningKey* SigningKeySet::Prepared(SigningKeyRecord::Kind kind) const {
  const auto found = std::ranges::find_if(keys, [kind](const SigningKey& key) {
    return key.record.kind() == kind && key.record.state() == SigningKeyRecord::PREPARED;
  });
  return found == keys.end() ? nullptr : &*found;
}

WallTime KnownEverywhereAt(const SigningKey& key) {
  return StartOf(key) + std::min(kLongestSettling, LifeOf(key) / 12);
}

Result<SharedSigningKeys> LoadSigningKeys(const SigningKeyOptions& options,
                                          const std::vector<SigningKeyRecord>& records) {
  if (auto safe = CheckNotChangeable(options.folder);
      !safe.ok() && safe.error().code() != Code::kNotFound) {
    return std::move(safe).error();
  }
  Keys keys;
  for (const SigningKeyRecord& record : records) {
    auto key = ReadSigningKey(options, record);
    if (!key.ok()) {
      return std::move(key).error();
    }
    keys.push_back(*std::move(key));
  }
  for (const SigningKeyRecord::Kind kind : kKinds) {
    const auto active = std::ranges::count_if(keys, [kind](const SigningKey& key) {
      return key.record.kind() == kind && key.record.state() == SigningKeyRecord::ACTIVE;
    });
    if (active != 1) {
      return Error(
          Code::kDataLoss,
          fmt::format("the records name {} active {} keys, not one", active, KindName(kind)));
    }
  }
  return Publish(std::move(keys));
}

Result<SigningKeysUpdate> CreateSigningKeys(const SigningKeyOptions& options, WallTime now) {
  if (auto made = MakeKeyFolder(options.folder); !made.ok()) {
    return std::move(made).error();
  }
  Keys keys;
  for (const SigningKeyRecord::Kind kind : kKinds) {
    const auto made = AddKey(options, kind, now, keys);
    if (!made.ok()) {
      return made.error();
    }
    (*made)->record.set_state(SigningKeyRecord::ACTIVE);
  }
  return UpdateOf({}, std::move(keys));
}

Result<DueRotation> AdvanceSigningKeys(const SigningKeyOptions& options,
                                       const SharedSigningKeys& keys,
                                       WallTime now) {
  Keys advanced = keys->keys;
  for (const SigningKeyRecord::Kind kind : kKinds) {
    if (auto replaced = ReplaceActive(options, kind, now, advanced); !replaced.ok()) {
      return std::move(replaced).error();
    }
    const bool has_prepared = Find(advanced, kind, SigningKeyRecord::PREPARED) != nullptr;
    if (!has_prepared && HalfOf(*Find(advanced, kind, SigningKeyRecord::ACTIVE)) <= now) {
      if (const auto made = AddKey(options, kind, now, advanced); !made.ok()) {
        return made.error();
      }
    }
  }
  DropEnded(now, advanced);
  const WallTime next = NextOf(advanced);
  const bool same_marks = SameMarks(keys->keys, advanced);
  SigningKeysUpdate update = UpdateOf(keys->keys, std::move(advanced));
  if (update.changes.empty() && same_marks) {
    return DueRotation{std::nullopt, next};
  }
  return DueRotation{std::move(update), next};
}

Result<std::optional<SigningKeysUpdate>> PrepareSigningKey(const SigningKeyOptions& options,
                                                           const SharedSigningKeys& keys,
                                                           SigningKeyRecord::Kind kind,
                                                           WallTime now) {
  Keys prepared = keys->keys;
  if (FitPrepared(kind, now, prepared) != nullptr) {
    return std::optional<SigningKeysUpdate>();
  }
  if (const auto made = AddKey(options, kind, now, prepared); !made.ok()) {
    return made.error();
  }
  return std::optional<SigningKeysUpdate>(UpdateOf(keys->keys, std::move(prepared)));
}

Result<SigningKeysUpdate> RotateSigningKey(const SigningKeyOptions& options,
                                           const SharedSigningKeys& keys,
                                           SigningKeyRecord::Kind kind,
                                           bool taint,
                                           WallTime now) {
  Keys rotated = keys->keys;
  SigningKey* successor = FitPrepared(kind, now, rotated);
  if (successor == nullptr) {
    const auto made = AddKey(options, kind, now, rotated);
    if (!made.ok()) {
      return made.error();
    }
    successor = *made;
  }
  if (taint) {
    Find(rotated, kind, SigningKeyRecord::ACTIVE)->record.set_tainted(true);
  }
  Activate(*successor, rotated);
  return UpdateOf(keys->keys, std::move(rotated));
}

std::optional<SigningKeysUpdate> ActivatePreparedKey(const SharedSigningKeys& keys,
                                                     const std::string& successor,
                                                     const std::string& tainted) {
  Keys activated = keys->keys;
  for (SigningKey& key : activated) {
    if (key.record.id() == successor && key.record.state() == SigningKeyRecord::PREPARED) {
      Activate(key, activated);
    }
    if (key.record.id() == tainted) {
      key.record.set_tainted(true);
    }
  }
  SigningKeysUpdate update = UpdateOf(keys->keys, std::move(activated));
  return update.changes.empty() ? std::nullopt : std::optional(std::move(update));
}

Result<void> RemoveStrayKeyFiles(const SigningKeyOptions& options, const SigningKeySet& keys) {
  std::vector<std::string> ids;
  for (const SigningKey& key : keys.keys) {
    ids.push_back(key.record.id());
  }
  return RemoveOtherKeyFiles(options.folder, ids);
}

}  // namespace credence
