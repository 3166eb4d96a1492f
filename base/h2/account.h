#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace credence::h2 {

/// What a party (the server, a uid, a connection) uses, within its bounds and those of the party it
/// belongs to.
class Account {
 public:
  /// How much an account may take of what its parent has left. kLeavesSome: a quarter is kept for
  /// those that have next to nothing (a 1024th of all), and of the rest it may have three times
  /// what it leaves. So a few that take all they can do not shut out others.
  enum class Share { kAll, kLeavesSome };

  struct Amount {
    std::size_t connections = 0;
    std::size_t calls = 0;
    /// Of requests.
    std::size_t bytes = 0;
    /// Of answers that the socket does not take.
    std::size_t unread = 0;
  };

  /// `parent` may be null.
  Account(Amount limit, std::shared_ptr<Account> parent, Share of_parent = Share::kAll)
      : limit_(limit), parent_(std::move(parent)), of_parent_(of_parent) {}

  /// Takes `amount` here and in all parents, or nothing at all and returns false.
  [[nodiscard]] bool Take(Amount amount);
  /// Gives back what was taken.
  void GiveBack(Amount amount);

  const Amount& used() const { return used_; }
  bool HasRoomFor(Amount amount) const;

 private:
  bool ParentSpares(Amount amount) const;

  Amount limit_;
  Amount used_;
  std::shared_ptr<Account> parent_;
  Share of_parent_;
};

/// Takes from an account and gives all of it back when it goes. Move-only.
class Holding {
 public:
  Holding() = default;
  explicit Holding(std::shared_ptr<Account> account) : account_(std::move(account)) {}
  Holding(Holding&& other) noexcept
      : account_(std::move(other.account_)), held_(std::exchange(other.held_, {})) {}
  Holding& operator=(Holding&& other) noexcept;
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { Release(); }

  [[nodiscard]] bool Take(Account::Amount amount);
  /// Gives back a part; never more than is held.
  void GiveBackBytes(std::size_t bytes);
  void GiveBackUnread(std::size_t bytes);

 private:
  void Release();

  std::shared_ptr<Account> account_;
  Account::Amount held_;
};

}  // namespace credence::h2
