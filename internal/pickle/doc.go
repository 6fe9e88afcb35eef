// Package pickle writes the few pickles that Distro makes and reads those of
// strangers for display.
//
// The writer emits protocol 3 without memo and frames, which every Python 3
// loads. The reader knows protocols 0 to 5. It imports, constructs and calls
// nothing: classes and calls become text, and whatever it is given costs a
// bounded amount of memory and time. Nothing read here is fit for running a
// job; Python gets the original bytes.
package pickle
