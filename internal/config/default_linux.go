package config

// defaultIsolation needs a zygote, which is there on Linux only.
const defaultIsolation = "fork"
