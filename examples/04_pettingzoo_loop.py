"""Nothing but PettingZoo: random legal acts on a suite, one scenario drawn at each reset."""

from nego_env import env

match = env("train", codecs="act")
for episode in range(3):
    match.reset(seed=7 if episode == 0 else None)
    total = dict.fromkeys(match.agents, 0.0)
    for seat in match.agent_iter():
        observation, reward, terminated, truncated, info = match.last()
        total[seat] += reward
        done = terminated or truncated
        match.step(None if done else match.action_space(seat).sample(observation["action_mask"]))
    print(match.unwrapped.transcript.scenario.id, total)
