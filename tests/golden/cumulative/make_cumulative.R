# Cumulative mixed models of SIMULATED ratings: two categories with crossed random effects by lme4, more without random
# effects by MASS; data and results, which tests/analysis/statistics/test_cumulative.py compares with ours.
#
#   Rscript make_cumulative.R        writes cumulative.json beside the script
suppressMessages({library(lme4); library(MASS); library(jsonlite)})
set.seed(28)
d <- expand.grid(condition = 1:3, item = 1:9, listener = 1:12)
part <- function(index, s) rnorm(max(index), 0, s)[index]
latent <- 0.9 * d$condition + part(d$listener, 1) + part(d$item, 0.8) + part(d$listener * 10 + d$condition, 0.7) +
  part(d$item * 10 + d$condition, 0.6) + rlogis(nrow(d))
d$two <- as.integer(latent > 1.8)
d$five <- as.integer(cut(latent, c(-Inf, 0, 1, 2, 3.5, Inf)))
f <- transform(d, condition = factor(condition), listener = factor(listener), item = factor(item))
m <- glmer(two ~ condition + (1 | listener) + (1 | item) + (1 | listener:condition) + (1 | item:condition), f, binomial,
           nAGQ = 0, control = glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5)))
sd <- sapply(VarCorr(m), function(v) attr(v, "stddev"))
names(sd) <- sub("\\..*", "", names(sd))
p <- polr(factor(five) ~ condition, f, Hess = TRUE, control = list(reltol = 1e-14))
writeLines(toJSON(list(made_by = "make_cumulative.R", simulated = TRUE, r = R.version.string, ratings = d,
  two = list(effects = unname(fixef(m)), se = unname(sqrt(diag(as.matrix(vcov(m))))), deviations = as.list(sd)),
  five = list(effects = unname(coef(p)), thresholds = unname(p$zeta), se = unname(sqrt(diag(vcov(p)))))),
  digits = 10, auto_unbox = TRUE, dataframe = "columns"), "cumulative.json")
