#pragma once

namespace credence {

/// Gives back the pages of the program and of its libraries, of which most are used only while a
/// process starts: code and constants, which stand unchanged in their files. What is still needed
/// comes back from the page cache, a few dozen pages at a time, when it is next used. For the end
/// of a start. Threads: any; the others may go on meanwhile.
void ReleaseProgramPages();

}  // namespace credence
