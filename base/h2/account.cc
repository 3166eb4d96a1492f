#include "base/h2/account.h"

#include <algorithm>
#include <array>

#include "base/core/check.h"

namespace credence::h2 {

namespace {

using Amount = Account::Amount;

constexpr std::array kKinds = {
    &Amount::connections, &Amount::calls, &Amount::bytes, &Amount::unread};
/// Of Share::kLeavesSome.
constexpr std::size_t kKeptPart = 4;
constexpr std::size_t kNextToNothing = 1024;
constexpr std::size_t kMostForOneLeft = 3;

/// A child that has `wanted` then leaves enough of `limit` if `left` is what is left then.
bool LeavesSome(std::size_t limit, std::size_t left, std::size_t wanted) {
  const std::size_t kept = limit / kKeptPart;
  return wanted <= std::max<std::size_t>(1, limit / kNextToNothing) ||
         (left > kept && wanted <= kMostForOneLeft * (left - kept));
}

void Add(Amount& sum, const Amount& amount) {
  for (const auto kind : kKinds) {
    sum.*kind += amount.*kind;
  }
}

}  // namespace

bool Account::HasRoomFor(Amount amount) const {
  return std::ranges::all_of(kKinds,
                             [&](auto kind) { return amount.*kind <= limit_.*kind - used_.*kind; });
}

bool Account::ParentSpares(Amount amount) const {
  if (!parent_ || of_parent_ == Share::kAll) {
    return true;
  }
  return parent_->HasRoomFor(amount) && std::ranges::all_of(kKinds, [&](auto kind) {
           const std::size_t limit = parent_->limit_.*kind;
           const std::size_t left = limit - parent_->used_.*kind - amount.*kind;
           return amount.*kind == 0 || LeavesSome(limit, left, used_.*kind + amount.*kind);
         });
}

bool Account::Take(Amount amount) {
  if (!HasRoomFor(amount) || !ParentSpares(amount) || (parent_ && !parent_->Take(amount))) {
    return false;
  }
  Add(used_, amount);
  return true;
}

void Account::GiveBack(Amount amount) {
  for (const auto kind : kKinds) {
    CREDENCE_CHECK(amount.*kind <= used_.*kind);
    used_.*kind -= amount.*kind;
  }
  if (parent_) {
    parent_->GiveBack(amount);
  }
}

Holding& Holding::operator=(Holding&& other) noexcept {
  if (this != &other) {
    Release();
    account_ = std::move(other.account_);
    held_ = std::exchange(other.held_, {});
  }
  return *this;
}

bool Holding::Take(Account::Amount amount) {
  if (!account_ || !account_->Take(amount)) {
    return false;
  }
  Add(held_, amount);
  return true;
}

void Holding::GiveBackBytes(std::size_t bytes) {
  CREDENCE_CHECK(bytes <= held_.bytes);
  if (bytes > 0) {
    account_->GiveBack({.bytes = bytes});
    held_.bytes -= bytes;
  }
}

void Holding::GiveBackUnread(std::size_t bytes) {
  CREDENCE_CHECK(bytes <= held_.unread);
  if (bytes > 0) {
    account_->GiveBack({.unread = bytes});
    held_.unread -= bytes;
  }
}

void Holding::Release() {
  if (account_) {
    account_->GiveBack(std::exchange(held_, {}));
    account_.reset();
  }
}

}  // namespace credence::h2
