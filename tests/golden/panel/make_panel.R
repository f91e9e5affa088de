# Statistics of panels, laboratories, aligned ranks, preferences and predictions of SIMULATED ratings by R's own stats
# package: data and results, which tests/analysis/statistics compares with ours.
#
#   Rscript make_panel.R        writes panel.json beside the script
suppressMessages(library(jsonlite))
set.seed(27)
part <- function(index, s) rnorm(max(index), 0, s)[index]

# A panel with two ratings of every cell: each listener's own one-way analysis, and his agreement with the others
d <- expand.grid(replicate = 1:2, condition = 1:3, item = 1:4, listener = 1:5)
d$score <- round(50 + 8 * d$condition + part(d$listener, 6) + part(d$listener * 10 + d$condition, 5) +
                 rnorm(nrow(d), 0, 2 + d$listener))
d$stimulus <- factor(d$item * 10 + d$condition)
cells <- tapply(d$score, list(d$stimulus, d$listener), mean)
panel <- list(ratings = d[, c("listener", "item", "condition", "replicate", "score")], listeners = lapply(1:5, function(l) {
  a <- anova(lm(score ~ stimulus, d[d$listener == l, ]))
  others <- rowMeans(cells[, -l])
  fit <- lm(cells[, l] ~ others)
  list(f = a[1, "F value"], p = a[1, "Pr(>F)"], repeat_sd = sqrt(a[2, "Mean Sq"]), agreement = cor(cells[, l], others),
       stretch = coef(fit)[[2]], offset = mean(cells[, l] - others))
}))

# Three laboratories of 4, 6 and 5 listeners, 4 conditions: split plot
lab <- rep(1:3, c(4, 6, 5))
means <- t(sapply(seq_along(lab), function(l) 50 + c(0, 4, 9, 15) + 2 * lab[l] * c(0, 1, 0, -1) + 3 * lab[l] +
                  rnorm(1, 0, 6) + rnorm(4, 0, c(4, 5, 7, 3))))
f <- factor(lab, labels = c("x", "y", "z"))
contrasts(f) <- contr.sum(3)
fit <- lm(means ~ f)
spherical <- function(m0, m1) as.data.frame(anova(m1, m0, X = ~1, test = "Spherical"))[2, ]
between <- anova(lm(rowMeans(means) ~ f))
inside <- function(a) list(
  f = a[["F"]], df = a[["num Df"]], df_error = a[["den Df"]], p = a[["Pr(>F)"]], p_gg = a[["G-G Pr"]], p_hf = a[["H-F Pr"]])
# type III: with sum contrasts the intercept is the unweighted mean of the laboratories
interaction <- inside(spherical(lm(means ~ 1), fit))
x <- model.matrix(~f)
condition <- inside(spherical(lm(means ~ 0 + x[, -1]), fit))
labs <- list(means = means, laboratory = lab, laboratory_f = between[1, "F value"], laboratory_p = between[1, "Pr(>F)"],
             condition = condition, interaction = interaction)

# Aligned rank transform, each effect by its own error stratum
a <- expand.grid(condition = factor(1:3), item = factor(1:4), listener = factor(1:6))
a$score <- round(50 + 5 * as.integer(a$condition) + 4 * (a$item == 2) * (a$condition == 3) + part(as.integer(a$listener), 5) +
                 rexp(nrow(a), 1 / 8))
cell <- ave(a$score, a$item, a$condition); mi <- ave(a$score, a$item); mc <- ave(a$score, a$condition); m <- mean(a$score)
effects <- list("condition" = mc - m, "item" = mi - m, "condition:item" = cell - mi - mc + m)
strata <- c("condition" = "Error: listener:condition", "item" = "Error: listener:item",
            "condition:item" = "Error: listener:condition:item")
aligned <- sapply(names(effects), function(e) {
  a$rank <- rank(round(a$score - cell + effects[[e]], 9))
  s <- summary(aov(rank ~ condition * item + Error(listener / (condition * item)), a))[[strata[[e]]]][[1]]
  list(f = s[1, "F value"], p = s[1, "Pr(>F)"], df = s[1, "Df"], df_error = s[2, "Df"])
}, simplify = FALSE)
aligned_ranks <- list(ratings = data.frame(lapply(a[, 1:3], as.integer), score = a$score), tests = aligned)

# Preferences among four systems: Bradley and Terry's model is a logistic regression without intercept
wins <- matrix(c(0, 14, 18, 21, 10, 0, 15, 17, 6, 9, 0, 13, 3, 7, 11, 0), 4, byrow = TRUE)  # row preferred to column
pairs <- t(combn(4, 2))
design <- t(apply(pairs, 1, function(p) {v <- numeric(4); v[p[1]] <- 1; v[p[2]] <- -1; v}))[, -1]
k <- wins[pairs]; n <- wins[pairs] + wins[pairs[, 2:1]]
g <- glm(cbind(k, n - k) ~ 0 + design, family = binomial, control = glm.control(epsilon = 1e-14))
preference <- list(wins = wins, coefficients = unname(coef(g)), se = unname(sqrt(diag(vcov(g)))), deviance = deviance(g))

writeLines(toJSON(list(made_by = "make_panel.R", simulated = TRUE, r = R.version.string, panel = panel, laboratories = labs,
                       aligned_ranks = aligned_ranks, preference = preference),
                  digits = 12, auto_unbox = TRUE, dataframe = "columns", matrix = "rowmajor"), "panel.json")
