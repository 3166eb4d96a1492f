#pragma once

namespace credence {

/// Path of the alias that `credence up` gives to the node it runs on: entries hang on it, so that
/// they stay when the node attests anew under another agent ID.
inline constexpr const char* kLocalNodePath = "/node/local";

}  // namespace credence
