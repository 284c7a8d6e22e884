"""One match, two codecs: seat_0 speaks, seat_1 picks numbers. Both are shown words and numbers."""

import numpy as np
from gymnasium.spaces import Discrete

from nego_env import env

match = env("heldout", codecs={"seat_0": "text", "seat_1": "act"}, max_rounds=4)
match.reset(seed=3, options={"scenario": match.unwrapped.session.suite.ids()[0]})
rng = np.random.default_rng(3)
for seat in match.agent_iter():
    observation, reward, terminated, truncated, info = match.last()
    if terminated or truncated:
        match.step(None)
    elif isinstance(match.action_space(seat), Discrete):  # the act seat: numbers in, a number out
        match.step(int(rng.choice(np.flatnonzero(observation["action_mask"]))))
    else:  # the text seat: words in, words out
        print(observation["table"])
        match.step("That could work for me. [Accept]" if info["round"] > 2 else "Tell me more about what you need.")
print(match.unwrapped.transcript)
