#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/authority/state/datastore.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/crypto/certificate_issuing.h"
#include "base/crypto/private_key.h"
#include "base/spiffe/spiffe_id.h"

#include "credence/authority/v1/state.pb.h"

/// The keys of a trust authority, their files and their life.
///
/// A key is PREPARED (published) from half of the active key's life on, ACTIVE when a sixth of that
/// life is left, then OLD (still published) until its end. A key has begun when its creation is not
/// in the future. One that is tainted, has not begun, or is in the last sixth of its life is
/// replaced: by the PREPARED one, by an OLD one that is fit again, else by a new one. Where a new
/// one is made late and the active one still works, as after a long sleep, the new one is published
/// for a while first.
///
/// The clock may be wrong, which only ever costs keys. Ahead, by a year say: the active key seems
/// to have ended and a new one takes its place. Nothing that is still published is lost: a key
/// leaves only when kKeptAfterEnd has gone by since its end was first seen, and a clock that is set
/// right within that time finds every key in place. Back again: the key made in the future has not
/// begun, so the one before becomes ACTIVE again if it is fit, with nothing new to publish; the key
/// of the future stays published as an OLD one until its own end, because tokens that it signed say
/// that they last as long. Back before the creation of every key: none has begun and their
/// certificates are not valid yet, so a new key is made. Ahead for longer than kKeptAfterEnd, or
/// further ahead again meanwhile: nothing here can tell that from time that has gone by, and what
/// has ended by then is dropped.
namespace credence {

/// A key that signs, or has signed, SVIDs of this trust domain.
struct SigningKey {
  authority::v1::SigningKeyRecord record;
  PrivateKey key;
  /// For X509 keys.
  std::optional<CertificateIssuer> issuer;
  /// Since when the key is known to have ended. Not kept across a restart.
  std::optional<WallTime> seen_ended;
};

/// The keys at one time, by kind, creation and ID. Immutable once published. Exactly one X509 and
/// one JWT key are ACTIVE.
struct SigningKeySet {
  std::vector<SigningKey> keys;

  const SigningKey& Active(authority::v1::SigningKeyRecord::Kind kind) const;
  /// nullptr if there is none.
  const SigningKey* Prepared(authority::v1::SigningKeyRecord::Kind kind) const;
};
using SharedSigningKeys = std::shared_ptr<const SigningKeySet>;

/// How long a key that has ended stays published.
inline constexpr std::chrono::hours kKeptAfterEnd{24};
/// What a certificate's start is put back by, so that machines whose clocks are a little behind
/// ours take it at once. SPIRE's figure.
inline constexpr std::chrono::seconds kBackdate{10};
/// Most keys of one kind, however often somebody rotates.
inline constexpr std::size_t kMaxSigningKeys = 256;

/// When a key has been published for long enough that it is known everywhere: many times what
/// agents take to ask for the bundle.
WallTime KnownEverywhereAt(const SigningKey& key);

/// How long keys live.
struct SigningKeyOptions {
  TrustDomain trust_domain;
  /// Where the private keys are: one file of PKCS#8 PEM for each, mode 0600, named after its ID.
  std::string folder;
  KeyType x509_key_type = KeyType::kEcP256;
  KeyType jwt_key_type = KeyType::kEcP256;
  /// Of keys made from now on.
  std::chrono::seconds x509_life{std::chrono::hours(24)};
  std::chrono::seconds jwt_life{std::chrono::hours(24 * 90)};
};

/// A set and what has to be in the datastore before it may be used. New key files are written
/// already; those of keys that are gone are left to RemoveStrayKeyFiles, to be called once the
/// changes are in the datastore.
struct SigningKeysUpdate {
  SharedSigningKeys keys;
  /// May be empty: then only what a set remembers (`seen_ended`) is new.
  std::vector<Change> changes;
};

/// Each call below blocks (files, key generation): run it on a pool. Threads: any.

/// The keys of `records`. No key is ever made here. Errors: kDataLoss naming the file that is
/// missing, damaged, readable by others than its owner, or not the key of its record, or the record
/// that is damaged; kDataLoss unless exactly one key of each kind is ACTIVE; as CodeFromErrno for a
/// file that cannot be read.
Result<SharedSigningKeys> LoadSigningKeys(
    const SigningKeyOptions& options, const std::vector<authority::v1::SigningKeyRecord>& records);

/// The first two keys, for a new trust domain; makes the folder (0700). Errors: those of files;
/// kPermissionDenied for a folder that others can change.
Result<SigningKeysUpdate> CreateSigningKeys(const SigningKeyOptions& options, WallTime now);

/// What the schedule asks for at `now`; nullopt when nothing is due.
struct DueRotation {
  std::optional<SigningKeysUpdate> update;
  /// When to ask again; when the clock is set, too.
  WallTime next;
};
/// Errors: those of files; kResourceExhausted for more than kMaxSigningKeys.
Result<DueRotation> AdvanceSigningKeys(const SigningKeyOptions& options,
                                       const SharedSigningKeys& keys,
                                       WallTime now);

/// Makes a PREPARED key where there is none that is fit, so that it is known everywhere by the time
/// of RotateSigningKey. nullopt when there is one. Errors: as AdvanceSigningKeys.
Result<std::optional<SigningKeysUpdate>> PrepareSigningKey(
    const SigningKeyOptions& options,
    const SharedSigningKeys& keys,
    authority::v1::SigningKeyRecord::Kind kind,
    WallTime now);

/// Rotation by an operator: the PREPARED key, made where there is none, becomes ACTIVE; the one
/// before is OLD, and tainted if `taint`. What a key signs that nobody has seen published is
/// refused for as long as bundles take to spread: see PrepareSigningKey. Errors: as
/// AdvanceSigningKeys.
Result<SigningKeysUpdate> RotateSigningKey(const SigningKeyOptions& options,
                                           const SharedSigningKeys& keys,
                                           authority::v1::SigningKeyRecord::Kind kind,
                                           bool taint,
                                           WallTime now);

/// The end of a rotation that was prepared: the key `successor` becomes ACTIVE if it is still
/// PREPARED, and the key `tainted` ("" for none) is tainted if it is still there. nullopt when
/// there is nothing to do. Does not block.
std::optional<SigningKeysUpdate> ActivatePreparedKey(const SharedSigningKeys& keys,
                                                     const std::string& successor,
                                                     const std::string& tainted);

/// Removes the key files (and what a crash left of writing one) that no key of `keys` has; other
/// files are none of its business. Only while nothing else makes keys. Errors: as CodeFromErrno.
Result<void> RemoveStrayKeyFiles(const SigningKeyOptions& options, const SigningKeySet& keys);

}  // namespace credence
