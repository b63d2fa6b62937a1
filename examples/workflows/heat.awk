# Solves u_t = alpha u_xx on (0, 1) with u = 0 at both ends and u(x, 0) = sin(mode pi x)
# by explicit steps in time, and compares with exp(-alpha (mode pi)^2 t) sin(mode pi x).
# Writes profile.csv; prints the number of steps and the largest error.
BEGIN {
  pi = atan2(0, -1)
  dx = 1 / cells
  steps = int(6 * alpha * time / (dx * dx)) + 1   # stable, and exact to fourth order
  r = alpha * (time / steps) / (dx * dx)
  for (i = 0; i <= cells; i++) u[i] = sin(mode * pi * i * dx)
  u[0] = u[cells] = 0
  for (n = 0; n < steps; n++) {
    left = u[0]
    for (i = 1; i < cells; i++) {
      here = u[i]
      u[i] = here + r * (left - 2 * here + u[i + 1])
      left = here
    }
  }
  decay = exp(-alpha * (mode * pi) ^ 2 * time)
  print "x,u,exact" > "profile.csv"
  for (i = 0; i <= cells; i++) {
    exact = decay * sin(mode * pi * i * dx)
    error = u[i] > exact ? u[i] - exact : exact - u[i]
    if (error > worst) worst = error
    printf "%.6f,%.9f,%.9f\n", i * dx, u[i], exact > "profile.csv"
  }
  printf "steps=%d\nmax_error=%.3e\n", steps, worst
}
