#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "agent/upstream/node_identity.h"
#include "base/core/log.h"
#include "base/crypto/certificate.h"

/// The part of NodeIdentity that talks to the server: attestation, renewal, and when to do which.
namespace credence {
namespace {

constexpr std::chrono::seconds kCallLimit{30};
/// After a server signed with a tainted authority once more: it has to change over first.
constexpr std::chrono::minutes kTaintedPause{1};

}  // namespace

Result<void> NodeIdentity::CheckIssued(const X509SvidChain& chain, const PrivateKey& key) const {
  const auto public_key = PublicKeyOf(chain.certificates.front());
  if (!public_key.ok() || *public_key != key.PublicKey()) {
    return Error(Code::kInternal, "the server issued an agent SVID for another key");
  }
  if (!chain.id.MemberOf(options_.trust_domain) || !chain.id.path().starts_with("/spire/agent/")) {
    return Error(Code::kInternal,
                 fmt::format("the server issued {}, which is no agent's ID", chain.id.text()));
  }
  return Ok();
}

Task<NodeIdentity::Attempt> NodeIdentity::Attest() {
  Attempt attempt;
  auto trust = co_await ServerTrust();
  if (!trust.ok()) {
    attempt.final = trust.error().code() == Code::kFailedPrecondition;
    attempt.issued = std::move(trust).error();
    co_return attempt;
  }
  auto channel = ChannelTo(*trust, std::nullopt);
  if (!channel.ok()) {
    attempt.issued = std::move(channel).error();
    co_return attempt;
  }
  auto key = co_await MakeKey();
  if (!key.ok()) {
    attempt.issued = std::move(key).error();
    co_return attempt;
  }
  auto outcome = co_await AttestAgent(*channel, attestor_, key->csr, Deadline::After(kCallLimit));
  if (!outcome.issued.ok()) {
    attempt.final = outcome.rejected;
    attempt.issued = std::move(outcome.issued).error();
    co_return attempt;
  }
  attempt.issued = co_await AcceptAttested(
      *std::move(outcome.issued), *std::move(key), *channel, *std::move(trust));
  co_return attempt;
}

Task<Result<NodeIdentity::Issued>> NodeIdentity::AcceptAttested(IssuedAgentSvid svid,
                                                                NewKey key,
                                                                SharedRpcChannel channel,
                                                                RpcTrust trust) {
  if (auto checked = CheckIssued(svid.chain, key.key); !checked.ok()) {
    co_return std::move(checked).error();
  }
  auto bundle = co_await FirstBundle(std::move(channel), std::move(trust));
  if (!bundle.ok()) {
    co_return std::move(bundle).error();
  }
  // A clock that lags must not cost a join token.
  const WallTime then = std::max(clock_.Now(), svid.chain.not_before);
  if (auto verified = VerifyX509Svid(svid.chain, (*bundle)->x509_authorities, then);
      !verified.ok()) {
    co_return std::move(verified).error().Wrap("the agent SVID does not fit the server's bundle");
  }
  LogInfo("Node attestation was successful",
          {{"spiffe_id", svid.chain.id.text()}, {"reattestable", svid.reattestable}});
  co_return Issued{std::move(svid), std::move(key.key), std::move(key.name), *std::move(bundle)};
}

Task<Result<SharedBundle>> NodeIdentity::FirstBundle(SharedRpcChannel channel, RpcTrust trust) {
  Backoff backoff(options_.backoff);
  for (;;) {
    auto bundle = co_await GetBundle(channel, options_.trust_domain, Deadline::After(kCallLimit));
    if (bundle.ok()) {
      co_return std::make_shared<const TrustBundle>(*std::move(bundle));
    }
    if (auto* known = std::get_if<TrustAuthorities>(&trust)) {
      // The attestation must not be lost for this; the next sync brings the bundle.
      LogWarn("Bundle could not be fetched; going on with the one at hand",
              {{"error", bundle.error()}});
      TrustBundle fallback{options_.trust_domain, std::move(known->x509_authorities), {}, 0};
      co_return std::make_shared<const TrustBundle>(std::move(fallback));
    }
    const auto wait = backoff.Next();
    LogWarn("Bundle could not be fetched; waiting to try again",
            {{"error", bundle.error()}, {"retry_interval", FormatDuration(wait)}});
    co_await Sleep(wait);
  }
}

Task<NodeIdentity::Attempt> NodeIdentity::Renew() {
  Attempt attempt;
  auto key = co_await MakeKey();
  if (!key.ok()) {
    attempt.issued = std::move(key).error();
    co_return attempt;
  }
  const auto channel = channel_;
  auto renewed = co_await RenewAgent(channel, key->csr, Deadline::After(kCallLimit));
  if (!renewed.chain.ok()) {
    ServerRefused(renewed.refusal, channel);
    attempt.issued = std::move(renewed.chain).error();
    co_return attempt;
  }
  if (auto checked = CheckIssued(*renewed.chain, key->key); !checked.ok()) {
    attempt.issued = std::move(checked).error();
    co_return attempt;
  }
  IssuedAgentSvid svid{*std::move(renewed.chain), false};
  attempt.issued = Issued{std::move(svid), std::move(key->key), std::move(key->name), nullptr};
  co_return attempt;
}

Task<Result<void>> NodeIdentity::Adopt(Issued issued) {
  svid_ = std::move(issued.svid.chain);
  reattestable_ = issued.svid.reattestable;
  key_ = std::move(issued.key);
  key_name_ = std::move(issued.key_name);
  const bool attested = issued.bundle != nullptr;
  if (attested) {
    bundle_ = std::move(issued.bundle);
  }
  schedule_.emplace(svid_->not_before, svid_->not_after);
  tainted_ = IsTainted();
  // The server drops the old SVID with an attestation, so that the new one is used at once; where
  // it was renewed, with the first use of the new one, which therefore is stored before.
  Result<void> rebuilt;
  if (attested) {
    rebuilt = RebuildChannel();
  }
  co_await StoreOrWarn();
  if (!attested) {
    rebuilt = RebuildChannel();
  }
  if (rebuilt.ok()) {
    refusal_ = Refusal::kNone;
  }
  co_return rebuilt;
}

/// True when there is a new SVID.
Task<bool> NodeIdentity::Rotate() {
  LogInfo(reattestable_ ? "Reattesting node" : "Rotating agent SVID",
          {{"spiffe_id", svid_->id.text()}});
  Attempt attempt;
  attesting_ = reattestable_;
  if (reattestable_) {
    attempt = co_await Attest();
  } else {
    attempt = co_await Renew();
  }
  Result<void> adopted;
  if (attempt.issued.ok()) {
    adopted = co_await Adopt(*std::move(attempt.issued));
  } else {
    adopted = std::move(attempt.issued).error();
  }
  attesting_ = false;
  if (!adopted.ok()) {
    LogError(reattestable_ ? "Could not reattest" : "Could not rotate agent SVID",
             {{"error", adopted.error()}, {"expires_at", FormatRfc3339(svid_->not_after)}});
    co_return false;
  }
  LogInfo(reattestable_ ? "Successfully reattested node" : "Successfully rotated agent SVID",
          {{"spiffe_id", svid_->id.text()}, {"expires_at", FormatRfc3339(svid_->not_after)}});
  co_return true;
}

Task<Result<void>> NodeIdentity::ActOnRefusal() {
  if (refusal_ == Refusal::kNone || (reattestable_ && refusal_ != Refusal::kAgentBanned)) {
    co_return Ok();
  }
  const auto reason = RefusalText(refusal_);
  const auto id = svid_->id.text();
  LogError("Agent cannot go on; removing its stored SVID", {{"spiffe_id", id}, {"reason", reason}});
  svid_.reset();
  co_await StoreOrWarn();
  co_return Error(
      refusal_ == Refusal::kAgentBanned ? Code::kPermissionDenied : Code::kUnauthenticated,
      fmt::format("the server refuses {}: {}{}",
                  id,
                  reason,
                  reattestable_ ? "" : "; attesting again needs a new join token or the like"));
}

Task<Result<void>> NodeIdentity::Run() {
  Backoff backoff(options_.backoff);
  auto retry_after = Deadline::After(std::chrono::nanoseconds(0));
  WallTime left_alone_until;
  for (;;) {
    if (auto refused = co_await ActOnRefusal(); !refused.ok()) {
      co_return refused;
    }
    if (unsaved_) {
      co_await StoreOrWarn();
    }
    const auto now = clock_.Now();
    const bool due = schedule_->Due(now) && now >= left_alone_until;
    const bool wanted = refusal_ != Refusal::kNone || tainted_ || due;
    if (wanted && retry_after.Passed()) {
      const bool rotated = co_await Rotate();
      if (rotated) {
        backoff.Reset();
        left_alone_until = clock_.Now() + schedule_->Spacing(clock_.Now());
        if (tainted_) {
          retry_after = Deadline::After(kTaintedPause);
        }
        continue;
      }
      retry_after = Deadline::After(backoff.Next());
      if (schedule_->Expired(clock_.Now()) && !reattestable_) {
        co_return Error(
            Code::kUnauthenticated,
            fmt::format("the SVID of {} has expired and could not be renewed", svid_->id.text()));
      }
      continue;
    }
    const auto wait =
        wanted ? retry_after.Remaining()
               : std::max<std::chrono::nanoseconds>(schedule_->Until(now), left_alone_until - now);
    co_await WaitForNews(wait);
  }
}

}  // namespace credence
