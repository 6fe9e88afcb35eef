package artifact

// nonblock is nothing here: no file waits when it is opened.
const nonblock = 0
