#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <utility>

namespace credence::h2 {

/// Waiting items, given out in turn: one of each group, and within a group one of each member. Who
/// queues a thousand at once delays another group by one. Order within a member is kept. Pure.
template <class T>
class FairQueue {
 public:
  void Push(std::uint64_t group, std::uint64_t member, T item) {
    groups_[group].members[member].push_back(std::move(item));
    ++size_;
  }

  /// The next in turn; nullopt when empty.
  std::optional<T> Pop() {
    if (groups_.empty()) {
      return std::nullopt;
    }
    const auto group = After(groups_, last_group_);
    last_group_ = group->first;
    Group& turns = group->second;
    const auto member = After(turns.members, turns.last_member);
    turns.last_member = member->first;
    std::optional<T> item = std::move(member->second.front());
    member->second.pop_front();
    --size_;
    if (member->second.empty()) {
      turns.members.erase(member);
    }
    if (turns.members.empty()) {
      groups_.erase(group);
    }
    return item;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Group {
    std::map<std::uint64_t, std::list<T>> members;
    std::uint64_t last_member = 0;
  };

  /// The entry behind `key`, around the end to the first.
  template <class Map>
  static typename Map::iterator After(Map& map, std::uint64_t key) {
    const auto next = map.upper_bound(key);
    return next == map.end() ? map.begin() : next;
  }

  std::map<std::uint64_t, Group> groups_;
  std::uint64_t last_group_ = 0;
  std::size_t size_ = 0;
};

}  // namespace credence::h2
