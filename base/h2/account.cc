#include "base/h2/account.h"

#include "base/core/check.h"

namespace credence::h2 {

bool Account::HasRoomFor(Amount amount) const {
  return amount.connections <= limit_.connections - used_.connections &&
         amount.calls <= limit_.calls - used_.calls && amount.bytes <= limit_.bytes - used_.bytes &&
         amount.unread <= limit_.unread - used_.unread;
}

bool Account::Take(Amount amount) {
  if (!HasRoomFor(amount) || (parent_ && !parent_->Take(amount))) {
    return false;
  }
  used_.connections += amount.connections;
  used_.calls += amount.calls;
  used_.bytes += amount.bytes;
  used_.unread += amount.unread;
  return true;
}

void Account::GiveBack(Amount amount) {
  CREDENCE_CHECK(amount.connections <= used_.connections && amount.calls <= used_.calls &&
                 amount.bytes <= used_.bytes && amount.unread <= used_.unread);
  used_.connections -= amount.connections;
  used_.calls -= amount.calls;
  used_.bytes -= amount.bytes;
  used_.unread -= amount.unread;
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
  held_.connections += amount.connections;
  held_.calls += amount.calls;
  held_.bytes += amount.bytes;
  held_.unread += amount.unread;
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
