// The player inside the audio thread: it holds the stimuli, carries out commands between two blocks and reports each
// transition. See switching.js for what sounds when.

import { Switcher } from "./switching.js";

const QUIET_S = 0.2;  // silence after the start: some devices click while they start

class PlayerProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.switcher = new Switcher(sampleRate);
    this.switcher.setMap(processorOptions.map);
    this.quietUntil = null;
    this.next = null;      // frame of the next block if none is lost
    this.prepared = null;  // stimuli of the next item
    this.open = true;
    this.port.onmessage = ({ data }) => this.carryOut(data);
  }

  carryOut(command) {
    const { switcher } = this;
    if (command.type === "prepare") {
      if (this.prepared !== null) switcher.released.push(this.prepared);
      this.prepared = new Map(command.stimuli);
    } else if (command.type === "use") {
      switcher.use(this.prepared);
      this.prepared = null;
    } else if (command.type === "play") switcher.play(command.slot, command.position);
    else if (command.type === "stop") switcher.stop();
    else if (command.type === "seek") switcher.seek(command.position);
    else if (command.type === "loop") switcher.setLoop(command.start === null ? null : [command.start, command.end]);
    else if (command.type === "gain") switcher.setGain(command.gain);
    else if (command.type === "map") switcher.setMap(command.map);
    else if (command.type === "close") this.open = false;
  }

  process(_inputs, [output]) {
    const { switcher } = this;
    this.quietUntil ??= currentFrame + QUIET_S * sampleRate;
    if (currentFrame < this.quietUntil) return this.open;
    if (this.next !== null && this.next !== currentFrame) {
      this.port.postMessage({ type: "gap", expected: this.next, found: currentFrame });
    }
    this.next = currentFrame + output[0].length;
    switcher.frame = currentFrame;
    switcher.process(output, output[0].length);
    if (switcher.transitions.length > 0) {
      this.port.postMessage({ type: "transitions", transitions: switcher.transitions.splice(0) });
    }
    // The main thread frees the memory of what is no longer used: that takes longer than a block.
    for (const stimuli of switcher.released.splice(0)) {
      const buffers = new Set([...stimuli.values()].map(([channel]) => channel.buffer));
      this.port.postMessage({ type: "released", buffers: [...buffers] }, [...buffers]);
    }
    return this.open;
  }
}

registerProcessor("listening-test-player", PlayerProcessor);
