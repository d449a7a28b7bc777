package main

const nrKeyctl, nrBpf, nrPerf, nrUserfaultfd, nrIoUring = 219, 280, 241, 282, 425
